import { describe, expect, it } from 'vitest';
import { paddingOf, pairOf, type Padding2d, type Pair } from '../../lib/ops/window';
import { errorOf } from '../support/compare';

describe('windows', () => {
  it('reads one number as both, and pairs as they are', () => {
    expect(pairOf('op', 'stride', 2)).toEqual([2, 2]);
    expect(pairOf('op', 'stride', [1, 3])).toEqual([1, 3]);
  });

  it.each([
    ['valid', [0, 0, 0, 0]],
    ['same', []],
    [2, [2, 2, 2, 2]],
    [
      [1, 2],
      [1, 1, 2, 2],
    ],
    [
      [
        [1, 2],
        [3, 4],
      ],
      [1, 2, 3, 4],
    ],
  ] as [Padding2d, number[]][])('reads padding %j', (padding, sides) => {
    expect(paddingOf('op', padding)).toEqual(sides);
  });

  it.each([[undefined], ['2'], [[1]], [[1, 2, 3]], [[[1, 2], 3]], [null]])('refuses %j', (value) => {
    expect(errorOf(() => pairOf('op', 'stride', value as unknown as Pair))).toMatchObject({ code: 'ERR_VALUE' });
    expect(errorOf(() => paddingOf('op', value as unknown as Padding2d))).toMatchObject({ code: 'ERR_VALUE' });
  });
});
