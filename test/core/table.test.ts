import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { native } from '../../lib/native';
import * as ops from '../../lib/ops';

/** The text of every TypeScript file below a folder. */
function sources(folder: string): string {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('\n');
}

const lib = join(__dirname, '../../lib');
const used = sources(lib);
const exported = Object.keys(ops);

describe('the op table', () => {
  it.each(native.signatures)('has a TypeScript function that calls $name', ({ name }) => {
    expect(used).toMatch(new RegExp(`native\\s*\\.${name}\\(`));
  });

  const tested = sources(join(__dirname, '..'));
  it.each(exported)('has a test that calls %s()', (name) => {
    expect(tested).toMatch(new RegExp(`\\b${name}\\b`));
  });
});
