import { describe, expect, it } from 'vitest';
import { setSeed } from '../../lib';
import { Dataset } from '../../lib/data';
import { philox } from '../reference/philox';
import { freshSeed, streamOf } from '../../lib/data/random';

it('draws what Philox gives for the key of the place', () => {
  // The third word of the counter is 1 for numbers on the host.
  const key = philox([7, 3, 1, 0], [5, 1]).slice(0, 2);
  const expected = [0, 1, 2, 3, 4, 5].flatMap((block) => philox([block, 0, 1, 0], key)).map((word) => word / 2 ** 32);
  const random = streamOf(2 ** 32 + 5, 3, 7);
  expect(Array.from({ length: 24 }, random)).toEqual(expected);
});

describe('streamOf', () => {
  const first = (random: () => number, count = 40) => Array.from({ length: count }, random);

  it('repeats, and differs by seed, epoch and index', () => {
    const streams = [streamOf(1), streamOf(2), streamOf(2 ** 32 + 1), streamOf(1, 1), streamOf(1, 0, 1)].map((random) =>
      first(random).join(),
    );
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
    expect(() => streamOf(-1)).toThrow(/seed must be an integer/);
    expect(() => streamOf(NaN)).toThrow(/seed must be an integer/);
  });
});

describe('setSeed', () => {
  it('repeats what was given no seed, and passes still differ', async () => {
    const run = async () => {
      setSeed(3);
      const shuffled = Dataset.from(Array.from({ length: 30 }, (_, i) => i)).shuffle(30);
      const drawn = Dataset.from([1, 2, 3]).map((_, __, random) => random());
      return [await shuffled.toArray(), await shuffled.toArray(), await drawn.toArray(), await drawn.toArray()];
    };
    const first = await run();
    expect(await run()).toEqual(first);
    expect(first[0]).not.toEqual(first[1]);
    expect(first[2]).not.toEqual(first[3]);
    expect(freshSeed()).not.toBe(freshSeed());
    for (let i = 0; i < 100; ++i) {
      const seed = freshSeed();
      expect(Number.isSafeInteger(seed) && seed >= 0).toBe(true);
    }
  });
});
