import { describe, expect, it } from 'vitest';
import { philox, streamOf } from '../../lib/data/random';

describe('philox', () => {
  // The known answers of Random123, the authors' own library.
  it.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [Array(4).fill(0xffffffff), [0xffffffff, 0xffffffff], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ])('of counter %j and key %j', (counter, key, expected) => {
    expect(philox(counter as number[], key as [number, number])).toEqual(expected);
  });
});

describe('streamOf', () => {
  const first = (random: () => number, count = 9) => Array.from({ length: count }, random);

  it('repeats, and differs by seed, epoch and index', () => {
    const streams = [
      streamOf(1),
      streamOf(2),
      streamOf(2 ** 32 + 1),
      streamOf(-1),
      streamOf(1, 1),
      streamOf(1, 0, 1),
    ].map((random) => first(random).join());
    expect(new Set(streams).size).toBe(streams.length);
    expect(first(streamOf(1, 2, 3))).toEqual(first(streamOf(1, 2, 3)));
  });

  it('is uniform in [0, 1)', () => {
    const bins = new Array<number>(10).fill(0);
    const random = streamOf(5);
    for (let i = 0; i < 10_000; ++i) {
      const value = random();
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThan(1);
      bins[Math.floor(value * 10)]! += 1;
    }
    for (const count of bins) expect(Math.abs(count - 1000)).toBeLessThan(6 * Math.sqrt(900));
  });

  it('refuses a seed that is no integer', () => {
    expect(() => streamOf(0.5)).toThrow(/seed must be an integer/);
    expect(() => streamOf(NaN)).toThrow(/seed must be an integer/);
  });
});
