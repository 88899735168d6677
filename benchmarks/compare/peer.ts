import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Protocol, Verb } from './protocol';

/** How to start a peer. */
export interface PeerCommand {
  /** Commands with the same library are variants of it: the fastest one counts. */
  library: string;
  /** Goes behind the names of its variants: 'tuned malloc'. */
  setting?: string;
  command: string;
  args: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** The variants to measure. Default all. */
  variants?: readonly string[];
  /** Whether its networks are exported, and its results the measure for those of others. */
  isReference?: boolean;
}

/** Why there is no answer. */
export class PeerError extends Error {}

/** The peer itself says that it cannot, and can be asked for something else. */
export class PeerRefusal extends PeerError {}

const TIMEOUT_MS = 300_000;
const QUOTED = 300; // characters of a message

/** Another library, as a process of its own that answers lines of JSON. */
export class Peer {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<string>;
  #complaints = '';

  constructor(
    { command, args, env }: PeerCommand,
    threads: number,
    private readonly timeout = TIMEOUT_MS,
  ) {
    const threadCount = { OMP_NUM_THREADS: String(threads), CONVGRAD_THREADS: String(threads) };
    this.#process = spawn(command, args, { env: { ...process.env, ...threadCount, ...env } });
    this.#process.stdin.on('error', () => undefined); // it ended: the answer that does not come says so
    this.#process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-QUOTED);
    });
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
    this.#ended = new Promise((resolve) => {
      this.#process.once('error', (error) => resolve(error.message));
      this.#process.once('close', (code, signal) => resolve(`it ended with ${signal ?? `exit code ${code}`}`));
    });
  }

  /** @throws PeerError when the peer says that it cannot, says no JSON, says nothing, or ends */
  async ask<V extends Verb>(verb: V, request: Protocol[V]['request']): Promise<Protocol[V]['answer']> {
    this.#process.stdin.write(`${JSON.stringify({ do: verb, ...request })}\n`);
    const line = await this.#line(verb);
    const answer = parse(line);
    if (answer === null) throw new PeerError(`${verb}: it answered ${line.slice(0, QUOTED)}`);
    if ('error' in answer) throw new PeerRefusal(String(answer['error']));
    return answer as Protocol[V]['answer'];
  }

  /** @throws PeerError */
  async measure(variant: string, budget: number): Promise<number> {
    const { ms } = await this.ask('measure', { variant, budget });
    if (Number.isFinite(ms) && ms > 0) return ms;
    throw new PeerError(`measure: it answered ${JSON.stringify(ms)} milliseconds`);
  }

  close(): void {
    this.#process.kill('SIGKILL');
  }

  async #line(verb: Verb): Promise<string> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new PeerError(`${verb}: no answer in ${this.timeout / 1e3} s`)), this.timeout);
    });
    try {
      const { value, done } = await Promise.race([this.#lines.next(), late]);
      if (!done) return value;
    } finally {
      clearTimeout(timer);
    }
    const complaints = this.#complaints.trim();
    throw new PeerError(`${verb}: ${await this.#ended}${complaints && `: ${complaints}`}`);
  }
}

function parse(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' ? (value as Record<string, unknown> | null) : null;
  } catch {
    return null;
  }
}
