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

  // Their outputs do not depend smoothly on a tensor, or they are gradients or steps themselves.
  const withoutGradient = /^(copy|fill|compare|argReduce|oneHot|random|clipBy\w+|\w+Step|\w+Backward\w*)$/;
  const differentiated = readdirSync(join(lib, 'ops'))
    .map((name) => readFileSync(join(lib, 'ops', name), 'utf8'))
    .filter((text) => /\b(differentiable|moved)\(/.test(text))
    .join('\n');
  it.each(native.signatures.filter(({ name }) => !withoutGradient.test(name)))(
    'has a gradient for $name',
    ({ name }) => {
      expect(differentiated).toMatch(new RegExp(`native\\s*\\.${name}\\(`));
    },
  );

  const tested = sources(join(__dirname, '..'));
  it.each(exported)('has a test that calls %s()', (name) => {
    expect(tested).toMatch(new RegExp(`\\b${name}\\b`));
  });
});
