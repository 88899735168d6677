import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { machine } from '../lib/bench/machine';

/** Writes a result with the machine's description to benchmarks/results/, under a name that says what it depends on. */
export async function writeResult(kind: string, result: object): Promise<void> {
  const about = machine();
  const folder = join(__dirname, 'results');
  await mkdir(folder, { recursive: true });
  const name = `${kind}-${about.isa}-${about.threads}-threads.json`;
  await writeFile(join(folder, name), `${JSON.stringify({ machine: about, ...result }, null, 2)}\n`);
  console.log(`\nwritten to benchmarks/results/${name}`);
}
