import { describe, expect, test } from 'vitest';
import { measureBlocks } from '../../lib/bench/eventLoop';
import { measure, median } from '../../lib/bench/measure';
import { measureOp } from '../../lib/bench/ops';
import { bytesOf, flopsOf, opProblems, outputShape, type ConvProblem } from '../../lib/bench/problems';
import { formatTable } from '../../lib/bench/table';
import { conv2d, memory, randomUniform, zeros } from '../../lib';

const conv: ConvProblem = {
  kind: 'conv2d',
  name: 'small',
  pass: 'forward',
  input: [2, 9, 8, 6],
  weight: [3, 3, 3, 4],
  stride: 2,
  padding: 1,
  groups: 2,
};

describe('benchmark problems', () => {
  test('have the output shapes that convolutions have', () => {
    const { stride, padding, groups } = conv;
    const y = conv2d(zeros(conv.input), zeros(conv.weight), null, { stride, padding, groups });
    expect(outputShape(conv)).toEqual([...y.shape]);
  });

  test('count two operations for a multiplication and an addition', () => {
    expect(flopsOf(conv)).toBe(2 * (2 * 5 * 4 * 4) * (3 * 3 * 3));
    expect(flopsOf({ kind: 'matmul', name: '', pass: 'forward', m: 2, n: 3, k: 5 })).toBe(60);
    expect(bytesOf({ kind: 'relu', name: '', pass: 'forward', shape: [4, 5] })).toBe(160);
  });

  test('have different names', () => {
    const names = opProblems.map(({ name, pass }) => `${name}, ${pass}`);
    expect(new Set(names).size).toBe(names.length);
  });

  test.each(['forward', 'backward input', 'backward weight'] as const)(
    'are run, and leave nothing: %s',
    async (pass) => {
      randomUniform([1]).dispose(); // the first random number makes the state of the generator, which stays
      const before = memory().tensors;
      expect(await measureOp({ ...conv, pass }, { budget: 1 })).toBeGreaterThan(0);
      expect(memory().tensors).toBe(before);
    },
  );
});

describe('measuring', () => {
  test('calls the body as often as it says', async () => {
    let calls = 0;
    await measure(() => void calls++, { budget: 0, warmUp: 2 });
    expect(calls).toBeGreaterThanOrEqual(2 + 5);
  });

  test('takes the middle', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([9, 1, 5, 7])).toBe(6);
  });

  test('sees a block of the event loop', async () => {
    const { longest } = await measureBlocks(async () => {
      const end = performance.now() + 40;
      while (performance.now() < end);
    });
    expect(longest).toBeGreaterThanOrEqual(40);
  });

  test('prints tables', () => {
    const table = formatTable(['name', 'ms'], [['a', '1.5'], ['longer', '10.25']]); // prettier-ignore
    expect(table).toBe(['name       ms', '------  -----', 'a         1.5', 'longer  10.25'].join('\n'));
  });
});
