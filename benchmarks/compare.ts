/**
 * convgrad beside PyTorch: the same problems, in turns, in the same run.
 *
 *     CONVGRAD_PYTHON=/path/to/python npm run bench:compare -- [ops] [train]     (a Python that has torch)
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { deviceInfo } from '../lib/device';
import { measureOp } from '../lib/bench/ops';
import { median } from '../lib/bench/measure';
import { measureNetwork, EPOCH_IMAGES } from '../lib/bench/networks';
import { networkProblems, opProblems, type NetworkProblem, type Problem } from '../lib/bench/problems';
import { formatTable } from '../lib/bench/table';
import { writeResult } from './results';

const ROUNDS = 3;
const BUDGET_MS = 200;

interface Comparison {
  problem: string;
  pass: string;
  /** Median milliseconds. */
  convgrad: number;
  peer: number;
  /** How many times as fast convgrad is. */
  ratio: number;
}

/** Another library, as a process that answers problems with milliseconds. */
class Peer {
  private readonly process;
  private readonly lines;

  constructor(python: string) {
    this.process = spawn(python, [join(__dirname, 'peer_pytorch.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  async name(): Promise<string> {
    return (await this.read<{ name: string }>()).name;
  }

  async measure(problem: object): Promise<number> {
    this.process.stdin.write(`${JSON.stringify({ problem, threads: deviceInfo().threads, budget: BUDGET_MS })}\n`);
    return (await this.read<{ ms: number }>()).ms;
  }

  async close(): Promise<void> {
    this.process.stdin.end();
    await once(this.process, 'close');
  }

  private async read<T>(): Promise<T> {
    const { value, done } = await this.lines.next();
    if (done) throw new Error('the peer ended early');
    return JSON.parse(value) as T;
  }
}

async function compare(problem: string, pass: string, ours: () => Promise<number>, theirs: () => Promise<number>) {
  const times: { ours: number[]; theirs: number[] } = { ours: [], theirs: [] };
  for (let round = 0; round < ROUNDS; round++) {
    times.ours.push(await ours());
    times.theirs.push(await theirs());
  }
  const [convgrad, peer] = [median(times.ours), median(times.theirs)];
  return { problem, pass, convgrad, peer, ratio: peer / convgrad } satisfies Comparison;
}

function comparisons(peer: Peer, what: readonly string[]): (() => Promise<Comparison>)[] {
  const op = (problem: Problem) => () =>
    compare(
      problem.name,
      problem.pass,
      () => measureOp(problem, { budget: BUDGET_MS }),
      () => peer.measure(problem),
    );
  const network = (problem: NetworkProblem) => () =>
    compare(
      `${problem.network}, batch ${problem.batchSize}`,
      problem.kind === 'train' ? `an epoch of ${EPOCH_IMAGES}` : 'predict',
      () => measureNetwork(problem, { budget: BUDGET_MS }),
      () => peer.measure({ ...problem, images: EPOCH_IMAGES }),
    );
  return [
    ...(what.includes('ops') ? opProblems.map(op) : []),
    ...(what.includes('train') ? networkProblems.map(network) : []),
  ];
}

async function main(): Promise<void> {
  const python = process.env['CONVGRAD_PYTHON'];
  if (!python) throw new Error('CONVGRAD_PYTHON must name a Python that has torch');
  const asked = process.argv.slice(2);
  const peer = new Peer(python);
  const name = await peer.name();
  const rows: Comparison[] = [];
  for (const run of comparisons(peer, asked.length > 0 ? asked : ['ops', 'train'])) {
    rows.push(await run());
    process.stderr.write('.');
  }
  await peer.close();
  process.stderr.write('\n');
  console.log(
    formatTable(
      ['problem', 'pass', 'convgrad ms', `${name} ms`, 'times as fast'],
      rows.map(({ problem, pass, convgrad, peer, ratio }) => [
        problem,
        pass,
        convgrad.toFixed(3),
        peer.toFixed(3),
        ratio.toFixed(2),
      ]),
    ),
  );
  await writeResult('compare-pytorch', { peer: name, results: rows });
}

main().catch((error: Error) => {
  console.error(`bench:compare: ${error.message}`);
  process.exitCode = 1;
});
