import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from '../../lib/bench/measure';
import { Peer, PeerError, PeerRefusal, type PeerCommand } from './peer';
import { titleOf, type CompareProblem } from './problems';

export interface CompareOptions {
  threads: number;
  /** Times that every variant takes its turn. */
  rounds: number;
  /** Milliseconds of a turn. */
  budget: number;
  /** Whether all libraries must compute what PyTorch does. */
  check: boolean;
  /** Milliseconds that a peer has for an answer. */
  timeout?: number;
}

/** What a variant of a library took for a problem. */
export interface Entry {
  library: string;
  /** With its version. */
  name: string;
  variant: string;
  /** The median of the samples. */
  ms: number;
  /** Milliseconds of a call, by round. */
  samples: number[];
}

export interface Comparison {
  problem: string;
  threads: number;
  measured: string;
  flops: number;
  /** GFLOP/s in registers with these threads. */
  peak: number;
  /** The first of a library is what people write. */
  entries: Entry[];
  /** Why others are not among the entries. */
  missing: { library: string; reason: string }[];
  /** By library, the distance from PyTorch's result where that was checked: the largest error over the largest number. */
  distances?: Record<string, number>;
}

/** Results differ by rounding: by how much, of the largest number, two right ones may. */
const TOLERANCE = 1e-3;
/** Variants this much slower than their library's fastest in the warm-up are not measured further. */
const HOPELESS = 1.25;
/** Variants so many times as slow as convgrad in the warm-up are not measured further either, but reported. */
const OUTCLASSED = 20;
/** Between turns, so that the last one's threads stop to spin. */
const PAUSE_MS = 20;

/** Runs a problem in all libraries, in turns. The first command is convgrad's; a peer that fails is reported as missing. */
export async function compare(
  problem: CompareProblem,
  commands: readonly PeerCommand[],
  options: CompareOptions,
): Promise<Comparison> {
  const folder = await mkdtemp(join(tmpdir(), 'convgrad-compare-'));
  const contest = new Contest(problem, folder, options);
  try {
    for (const command of commands) await contest.add(command);
    return await contest.result();
  } finally {
    contest.close();
    await rm(folder, { recursive: true });
  }
}

/** A library that runs the problem. */
interface Contestant {
  command: PeerCommand;
  peer: Peer;
  name: string;
  variants: string[];
}

interface Turn {
  contestant: Contestant;
  /** As the peer calls it. */
  variant: string;
  warmUp: number;
  entry: Entry;
}

class Contest {
  #contestants: Contestant[] = [];
  #turns: Turn[] = [];
  readonly #missing: Comparison['missing'] = [];
  readonly #distances: Record<string, number> = {};

  constructor(
    private readonly problem: CompareProblem,
    private readonly folder: string,
    private readonly options: CompareOptions,
  ) {}

  /** Starts a peer. */
  async add(command: PeerCommand): Promise<void> {
    const { problem, folder } = this;
    const { threads, timeout } = this.options;
    const peer = new Peer(command, threads, timeout);
    const contestant: Contestant = { command, peer, name: command.library, variants: [] };
    this.#contestants.push(contestant);
    await this.#trying(contestant, async ({ peer }) => {
      const answer = await peer.ask('prepare', { problem, threads, folder });
      if ('unsupported' in answer) throw new PeerError(answer.unsupported);
      if (command.isReference && problem.kind === 'predict') await peer.ask('export', {});
      Object.assign(contestant, answer);
    });
  }

  async result(): Promise<Comparison> {
    const { problem, options } = this;
    if (options.check) await this.#check();
    const { peer } = this.#ours();
    const { gflops: peak } = await peer.ask('peak', {});
    const { flops } = await peer.ask('flops', {});
    await this.#warmUp();
    this.#ours();
    const limit = OUTCLASSED * this.#turns[0]!.warmUp;
    for (let round = 0; round < options.rounds; round++) {
      for (const turn of this.#turns.filter(({ warmUp }) => warmUp <= limit)) {
        const ms = await this.#measure(turn);
        if (ms !== undefined) turn.entry.samples.push(ms);
      }
    }
    this.#ours();
    return {
      problem: titleOf(problem),
      threads: options.threads,
      measured: new Date().toISOString(),
      flops,
      peak,
      entries: this.#turns.map(({ entry, warmUp }) => {
        const samples = entry.samples.length > 0 ? entry.samples : [warmUp];
        return { ...entry, ms: median(samples), samples };
      }),
      missing: this.#missing,
      ...(options.check && { distances: this.#distances }),
    };
  }

  close(): void {
    for (const { peer } of this.#contestants) peer.close();
  }

  /** @throws Error when convgrad has left the contest, which is none without it */
  #ours(): Contestant {
    const [ours] = this.#contestants;
    if (ours?.command.library === 'convgrad') return ours;
    throw new Error(`convgrad: ${this.#missing.find(({ library }) => library === 'convgrad')!.reason}`);
  }

  async #check(): Promise<void> {
    const reference = this.#contestants.find(({ command }) => command.isReference);
    if (!reference) throw new Error('--check needs PyTorch, whose results are the measure');
    await reference.peer.ask('example', {});
    for (const contestant of this.#contestants) {
      const { library } = contestant.command;
      if (library === reference.command.library) continue;
      await this.#trying(contestant, async ({ peer }) => {
        const { distance } = await peer.ask('check', {});
        if (!Number.isFinite(distance) || distance > TOLERANCE) throw new PeerError(`wrong by ${distance}`);
        this.#distances[library] = distance;
      });
    }
  }

  /** Finds the variants that take turns: the first of a library, and those that may be its fastest. */
  async #warmUp(): Promise<void> {
    for (const contestant of this.#contestants) {
      const { library, setting, variants = contestant.variants } = contestant.command;
      for (const variant of variants) {
        const shown = setting ? `${variant}, ${setting}` : variant;
        const entry = { library, name: contestant.name, variant: shown, ms: NaN, samples: [] };
        const turn = { contestant, variant, entry, warmUp: NaN };
        const warmUp = await this.#measure(turn);
        if (warmUp !== undefined) this.#turns.push({ ...turn, warmUp });
      }
    }
    const all = this.#turns;
    this.#turns = all.filter(({ entry, warmUp }) => {
      const ofLibrary = all.filter((other) => other.entry.library === entry.library);
      const fastest = Math.min(...ofLibrary.map((other) => other.warmUp));
      return entry === ofLibrary[0]!.entry || warmUp <= HOPELESS * fastest;
    });
  }

  async #measure({ contestant, variant }: Turn): Promise<number | undefined> {
    await sleep(PAUSE_MS);
    return await this.#trying(contestant, ({ peer }) => peer.measure(variant, this.options.budget), variant);
  }

  /** A peer that fails leaves the contest with all its turns; one that says so itself with this variant only. */
  async #trying<T>(
    contestant: Contestant,
    body: (contestant: Contestant) => Promise<T>,
    variant?: string,
  ): Promise<T | undefined> {
    if (!this.#contestants.includes(contestant)) return undefined;
    try {
      return await body(contestant);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      const { library, setting } = contestant.command;
      const isRefusal = error instanceof PeerRefusal && variant !== undefined;
      const who = [library, isRefusal && variant, setting].filter(Boolean).join(', ');
      this.#missing.push({ library: who, reason: error.message });
      this.#turns = this.#turns.filter(
        (turn) => turn.contestant !== contestant || (isRefusal && turn.variant !== variant),
      );
      if (!isRefusal) {
        contestant.peer.close();
        this.#contestants = this.#contestants.filter((other) => other !== contestant);
      }
      return undefined;
    }
  }
}
