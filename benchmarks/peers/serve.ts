import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { CompareProblem } from '../compare/problems';
import type { Protocol } from '../compare/protocol';

/** A problem as a library in this process runs it. */
export interface Subject {
  /** By variant: makes so many calls, and waits for the last one. */
  variants: Readonly<Record<string, (calls: number) => Promise<void>>>;
  /** What the library makes of an example, see `Protocol`. */
  check(example: Example): Promise<ArrayLike<number>>;
}

/** A safetensors file's tensors. */
export type Example = ReadonlyMap<string, { shape: readonly number[]; data: Float32Array | Int32Array }>;

/** A library that serves as a peer. */
export interface Library {
  name: string;
  /** Why a problem is none for this library, or what runs it. */
  prepare(problem: CompareProblem, threads: number, folder: string): Promise<string | Subject>;
}

/** Loads a package of the peers, which are not among the dependencies of this one. */
export function requirePeer<T>(name: string): T & { version: string } {
  const require = createRequire(join(process.env['CONVGRAD_PEERS'] ?? __dirname, 'package.json'));
  return { ...(require(name) as T), version: (require(`${name}/package.json`) as { version: string }).version };
}

type Answers = { [V in keyof Protocol]?: (request: Protocol[V]['request']) => Promise<Protocol[V]['answer']> };

/** Answers requests from stdin until it ends. `more` are answers that only this library gives. */
export async function serve(library: Library, more: Answers = {}): Promise<void> {
  let subject: Subject;
  let example: string;
  const calls = new Map<string, number>();
  const answers: Answers = {
    async prepare({ problem, threads, folder }) {
      example = join(folder, 'example.safetensors');
      const prepared = await library.prepare(problem, threads, folder);
      if (typeof prepared === 'string') return { name: library.name, unsupported: prepared };
      subject = prepared;
      return { name: library.name, variants: Object.keys(prepared.variants) };
    },
    async measure({ variant, budget }) {
      const run = subject.variants[variant]!;
      if (!calls.has(variant)) calls.set(variant, await warmUp(run, budget));
      return { ms: await timeOf(run, calls.get(variant)!) };
    },
    async check() {
      const tensors = readExample(example);
      return { distance: distance(await subject.check(tensors), tensors.get('output')!.data) };
    },
    ...more,
  };
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: verb, ...request } = JSON.parse(line) as { do: keyof Protocol };
    let answer: object;
    try {
      const respond = answers[verb] as ((request: object) => Promise<object>) | undefined;
      answer = (await respond?.(request)) ?? { error: `cannot ${verb}` };
    } catch (error) {
      answer = { error: String(error).slice(0, 500) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

/** How many calls fit into the budget. */
async function warmUp(run: (calls: number) => Promise<void>, budget: number): Promise<number> {
  const cold = await timeOf(run, 1);
  if (cold > 10 * budget) return 1;
  const warm = await timeOf(run, 1);
  const each = warm > budget ? warm : await timeOf(run, Math.max(1, Math.round(budget / 4 / warm)));
  return Math.max(1, Math.round(budget / each));
}

async function timeOf(run: (calls: number) => Promise<void>, calls: number): Promise<number> {
  const start = performance.now();
  await run(calls);
  return (performance.now() - start) / calls;
}

export function readExample(path: string): Example {
  const file = readFileSync(path);
  const begin = 8 + Number(file.readBigUInt64LE(0));
  type Header = Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  const header = JSON.parse(file.subarray(8, begin).toString()) as Header;
  const tensors = new Map<string, { shape: number[]; data: Float32Array | Int32Array }>();
  for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(header)) {
    const bytes = new Uint8Array(file.subarray(begin + offsets[0], begin + offsets[1])).buffer;
    if (dtype === 'F32') tensors.set(name, { shape, data: new Float32Array(bytes) });
    if (dtype === 'I32') tensors.set(name, { shape, data: new Int32Array(bytes) });
  }
  return tensors;
}

/** The largest error over the largest expected number. NaN where there is one. */
export function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) throw new Error(`gives ${actual.length} numbers, not ${expected.length}`);
  let [error, largest] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    error = Math.max(error, Math.abs(actual[i]! - expected[i]!));
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  return error / largest;
}
