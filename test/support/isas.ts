import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { deviceInfo, setThreads } from '../../lib';

/** The instruction sets that this machine can run. */
export const availableIsas = deviceInfo().availableIsas;

/**
 * Runs a test file's cases under another instruction set: the choice is made once per process, so a child process runs
 * vitest on the file with CONVGRAD_ISA set. Throws with the child's output when a case fails.
 */
export function runUnderIsa(isa: string, testFile: string): void {
  const vitest = join(__dirname, '../../node_modules/vitest/vitest.mjs');
  try {
    execFileSync(process.execPath, [vitest, 'run', testFile, '--reporter=dot'], {
      env: { ...process.env, CONVGRAD_ISA: isa, CONVGRAD_TEST_NESTED: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
    });
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${testFile} fails under CONVGRAD_ISA=${isa}:\n${stdout}\n${stderr}`, { cause: error });
  }
}

/** Calls `body` with 1, 2 and 5 threads and returns the results. */
export function withThreadCounts<R>(body: () => R): R[] {
  const before = deviceInfo().threads;
  try {
    return [1, 2, 5].map((count) => {
      setThreads(count);
      return body();
    });
  } finally {
    setThreads(before);
  }
}
