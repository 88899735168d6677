import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The package's folder: two up both from lib/cli (tests) and from dist/cli. */
export const packageFolder = join(__dirname, '../..');

export function packageVersion(): string {
  return (JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as { version: string }).version;
}
