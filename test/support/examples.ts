import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { resolve } from 'node:path';

const root = resolve(__dirname, '../..');

export interface ExampleResult {
  code: number;
  stdout: string;
  stderr: string;
}

const commandLine = (name: string, args: readonly string[]): string[] => [
  '--import',
  'tsx',
  `examples/${name}.ts`,
  ...args,
];

/** Runs one of the examples, as `npx tsx examples/NAME.ts` does. */
export function runExample(name: string, ...args: string[]): Promise<ExampleResult> {
  return new Promise((done) => {
    execFile(process.execPath, commandLine(name, args), { cwd: root }, (error, stdout, stderr) => {
      done({ code: error ? Number(error.code ?? -1) : 0, stdout, stderr });
    });
  });
}

/** Starts one that goes on until it is killed. */
export function startExample(name: string, ...args: string[]): ChildProcess {
  return spawn(process.execPath, commandLine(name, args), { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
}
