import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as cg from '../../lib';
import { gradCheck, tensor, Tensor } from '../../lib';
import { expectExact } from '../support/compare';

/** The methods that lib/methods.ts declares. */
const declared = Array.from(
  readFileSync(join(__dirname, '../../lib/methods.ts'), 'utf8').matchAll(/^ {4}(\w+)(?:<.*?>)?\(.*: .*;$/gm),
  (match) => match[1]!,
);

describe('methods', () => {
  it('are those that are declared, each an op of the same name', () => {
    expect(declared.length).toBeGreaterThan(50);
    const x = tensor([[0.25, 0.75]]);
    for (const name of declared) {
      expect(x[name as keyof Tensor], name).toBeTypeOf('function');
      expect(cg[name as keyof typeof cg], name).toBeTypeOf('function');
    }
    // Not enumerable, as methods of classes are not.
    expect(Object.keys(Tensor.prototype).filter((name) => declared.includes(name))).toEqual([]);
  });

  it('chain', () => {
    const x = tensor([
      [1, 2],
      [3, 6],
    ]);
    expectExact(x.sub(x.mean(1, true)).square().sum(-1), [0.5, 4.5]);
    expectExact(x.transpose().reshape([-1]).cast('int32').add(1), [2, 4, 3, 7]);
    expectExact(x.view(-1, 1).reshape(1, 4).view([4]), [1, 2, 3, 6]);
    gradCheck((x) => x.mul(2).add(1).pow(2).mean(), [x]);
  });
});
