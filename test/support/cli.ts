import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';

const main = resolve(__dirname, '../../dist/cli/main.js');

export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  cwd?: string;
  /** Added to the environment. */
  env?: NodeJS.ProcessEnv;
  /** Gets the process as soon as it runs, to send it signals. */
  onSpawn?: (child: ChildProcess) => void;
}

/** Runs the compiled `convgrad` program. */
export async function runCli(args: readonly string[], { cwd, env, onSpawn }: CliOptions = {}): Promise<CliResult> {
  const child = spawn(process.execPath, [main, ...args], { cwd, env: { ...process.env, ...env }, stdio: 'pipe' });
  child.stdin.end();
  onSpawn?.(child);
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code as number | null, stdout, stderr };
}

/** Runs the program with `--json` and parses the one line that it prints. */
export async function runCliJson<T>(
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliResult & { json: T }> {
  const result = await runCli([...args, '--json'], options);
  try {
    return { ...result, json: JSON.parse(result.stdout) as T };
  } catch (error) {
    throw new Error(`not JSON on stdout: ${JSON.stringify(result)}`, { cause: error });
  }
}
