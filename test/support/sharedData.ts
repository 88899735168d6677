import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'vitest';

/** Real images and weights, too large for the repository: CONVGRAD_TEST_DATA, or the folder shared/data beside it. */
const root = resolve(__dirname, '../..', process.env['CONVGRAD_TEST_DATA'] ?? '../shared/data');

/** The path of a file or folder of the real data, whether it exists or not. */
export function sharedData(...path: string[]): string {
  return join(root, ...path);
}

/** Tests on real data: `path` names what they need of it. Skipped, with the reason in their name, where it is absent. */
export function describeWithData(name: string, path: string, body: (path: string) => void): void {
  const found = sharedData(path);
  if (existsSync(found)) describe(name, () => body(found));
  else it.skip(`${name} [skipped: ${found} is absent, see CONVGRAD_TEST_DATA]`, () => undefined); // body may read it
}
