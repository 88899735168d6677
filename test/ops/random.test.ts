import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import * as cg from '../../lib';
import { Generator, setSeed, tensor, type Tensor } from '../../lib';
import { philox } from '../reference/philox';
import { native } from '../../lib/native';
import { loadPhilox } from '../fixtures/load';
import { erf } from '../reference/math';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { withThreadCounts } from '../support/isas';
import { TestData } from '../support/random';

const data = new TestData();
const context = `seed ${data.seed}`;

/** A generator at any place of any stream. */
function generatorAt(key: readonly number[], block: readonly number[]): Generator {
  const generator = new Generator(0);
  generator.state.assign(tensor(Int32Array.from([...key, ...block], (word) => word | 0)));
  return generator;
}

/** The words of the stream themselves: integers over the whole range are the words, moved by -2^31. */
function words(count: number, generator: Generator): Uint32Array {
  const values = cg.randomInt([count], -(2 ** 31), 2 ** 31, { generator }).dataSync();
  return Uint32Array.from(values, (value) => value + 2 ** 31);
}

describe('the stream of words', () => {
  it('is Philox 4x32-10: known answers', () => {
    const vectors = loadPhilox().filter(({ counter }) => counter[2] === 0 && counter[3] === 0);
    expect(vectors.length).toBeGreaterThan(5);
    for (const { key, counter, output } of vectors) {
      expectExact(words(4, generatorAt(key, counter.slice(0, 2))), output, `key ${key}, counter ${counter}`);
    }
  });

  it('goes on block by block, across 2^32, on the device and on the host', () => {
    const key = [data.integer(0, 2 ** 31), data.integer(0, 2 ** 31)] as const;
    const first = 2 ** 32 - 7;
    const blocks = (stream: number) =>
      Array.from({ length: 40 }, (_, i) => {
        const block = first + i;
        return philox([block % 2 ** 32, Math.floor(block / 2 ** 32), stream, 0], key);
      }).flat();
    expectExact(words(158, generatorAt(key, [first, 0])), blocks(0).slice(0, 158), context);
    expectExact(native.randomWords(...key, first, 158), blocks(1).slice(0, 158), context);
  });

  it('goes on where the op before ended', () => {
    const generator = new Generator(7);
    const parts = [5, 4, 1, 1000, 3].map((count) => words(count, generator));
    expectExact(generator.state, [7, 0, 2 + 1 + 1 + 250 + 1, 0]);
    const whole = words(1020, new Generator(7));
    expectExact(parts[0]!, whole.slice(0, 5));
    expectExact(parts[1]!, whole.slice(8, 12));
    expectExact(parts[3]!, whole.slice(16, 1016));
    expectExact(parts[4]!, whole.slice(1016, 1019));
  });
});

const count = 100_003;
const distributions: [name: string, draw: (generator: Generator) => Tensor][] = [
  ['uniform', (generator) => cg.randomUniform([count], { low: -3, high: 5, generator })],
  ['normal', (generator) => cg.randomNormal([count], { mean: 1, std: 2, generator })],
  ['truncatedNormal', (generator) => cg.truncatedNormal([count], { mean: 1, std: 2, generator })],
  ['bernoulli', (generator) => cg.bernoulli([count], 0.3, { generator })],
  ['randomInt', (generator) => cg.cast(cg.randomInt([count], -3, 8, { generator }), 'float32')],
];

describe.each(distributions)('%s', (name, draw) => {
  it('gives the same bits everywhere: any number of threads, any instruction set', () => {
    const [one, ...others] = withThreadCounts(() => draw(new Generator(2024)).dataSync());
    for (const other of others) expectExact(other, one!);
    expect(createHash('sha256').update(one!).digest('hex').slice(0, 16)).toBe(
      {
        uniform: '7bba7d7d3f5700a7',
        normal: '86a36a5963bd1595',
        truncatedNormal: '8920204521881b81',
        bernoulli: '045e3ccc7eb5cfdd',
        randomInt: '1c5a5f7792bf6569',
      }[name],
    );
  });

  it('has the mean and the variance it should', () => {
    const [mean, variance] = {
      uniform: [1, 64 / 12],
      normal: [1, 4],
      truncatedNormal: [1, 4 * 0.7737413],
      bernoulli: [0.3, 0.21],
      randomInt: [2, 10],
    }[name]!;
    const generator = new Generator(data.integer(0, 2 ** 31));
    const x = draw(generator);
    // Six standard errors.
    expectClose(cg.mean(x), [mean!], { absolute: 6 * Math.sqrt(variance! / count) }, `seed ${generator.seed}`);
    expectClose(cg.variance(x), [variance!], { relative: 0.03 }, `seed ${generator.seed}`);
  });
});

describe('randomUniform', () => {
  it('is low + (high - low) · (word >> 8) / 2^24, below high', () => {
    const x = cg.randomUniform([1000], { generator: new Generator(3) }).dataSync();
    const expected = words(1000, new Generator(3)).map((word) => word >>> 8);
    expectExact(
      x,
      Float32Array.from(expected, (word) => word / 2 ** 24),
    );
    // So narrow that most sums round to one of the ends.
    const narrow = cg.randomUniform([10000], { low: 1, high: 1 + 2 ** -22 }).dataSync();
    expect(narrow.every((value) => value >= 1 && value < 1 + 2 ** -22)).toBe(true);
  });
});

describe('randomNormal', () => {
  it("is Box and Muller's transform of the words", () => {
    const n = 20000;
    const x = cg.randomNormal([n], { generator: new Generator(5) }).dataSync();
    const drawn = words(n, new Generator(5));
    const expected = Float64Array.from({ length: n }, (_, i) => {
      const pair = i - (i % 2);
      const length = Math.sqrt(-2 * Math.log(((drawn[pair]! >>> 9) + 0.5) / 2 ** 23));
      const angle = 2 * Math.PI * ((drawn[pair + 1]! >>> 8) / 2 ** 24);
      return length * (i % 2 ? Math.sin(angle) : Math.cos(angle));
    });
    expectClose(x, expected, { absolute: 1e-6 });
  });
});

describe('truncatedNormal', () => {
  it('inverts the distribution function between -2 and 2', () => {
    const n = 20000;
    const x = cg.truncatedNormal([n], { generator: new Generator(5) }).dataSync();
    const drawn = words(n, new Generator(5));
    const expected = Float64Array.from(drawn, (word) => (2 * ((word >>> 9) + 0.5)) / 2 ** 23 - 1);
    const limit = erf(Math.SQRT2);
    expectClose(
      Float64Array.from(x, (z) => erf(z / Math.SQRT2) / limit),
      expected,
      { absolute: 5e-7 },
    );
    expect(x.every((z) => z >= -2 && z <= 2)).toBe(true);
  });
});

describe('bernoulli and randomInt', () => {
  it('know their limits', () => {
    expectExact(cg.bernoulli([100], 0), new Float32Array(100));
    expectExact(cg.bernoulli([100], 1), new Float32Array(100).fill(1));
    expectExact(cg.randomInt([100], -7, -6), new Int32Array(100).fill(-7));
    const seen = new Set(cg.randomInt([1000], -2, 3).dataSync());
    expect([...seen].sort()).toEqual([-1, -2, 0, 1, 2]);
  });

  it('take as many words as elements, in the same order', () => {
    const drawn = words(500, new Generator(11));
    const x = cg.bernoulli([500], 0.25, { generator: new Generator(11) });
    expectExact(
      x,
      Float32Array.from(drawn, (word) => Number(word < 2 ** 30)),
    );
    const y = cg.randomInt([500], 10, 1010, { generator: new Generator(11) });
    expectExact(
      y,
      Int32Array.from(drawn, (word) => 10 + Math.floor((word * 1000) / 2 ** 32)),
    );
  });
});

describe('Generator', () => {
  it('repeats after setSeed, on the device and on the host', () => {
    const run = () => {
      setSeed(99);
      const generator = cg.defaultGenerator();
      return [cg.randomNormal([50]).dataSync(), generator.hostUniform(9), generator.hostPermutation(20)];
    };
    expect(run()).toEqual(run());
    expect(cg.randomNormal([50]).dataSync()).not.toEqual(run()[0]);
  });

  it('permutes: every integer once, each place equally likely', () => {
    const generator = new Generator(data.integer(0, 2 ** 31));
    const order = generator.hostPermutation(1000);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    const places = new Float64Array(25);
    for (let i = 0; i < 5000; i++)
      generator.hostPermutation(5).forEach((value, place) => (places[value * 5 + place]! += 1));
    // 1000 expected in each, with a standard deviation of 28.
    for (const hits of places) expect(Math.abs(hits - 1000), `seed ${generator.seed}`).toBeLessThan(170);
  });

  it('gives host numbers in [0, 1) from a stream of their own', () => {
    const generator = new Generator(4);
    const host = generator.hostUniform(1000);
    expect(host.every((x) => x >= 0 && x < 1)).toBe(true);
    const device = cg.randomUniform([1000], { generator }).dataSync();
    expect(host.filter((x, i) => Math.abs(x - device[i]!) < 1e-6).length).toBeLessThan(5);
  });

  it('goes on from a saved state', () => {
    const generator = new Generator(2 ** 45 + 3);
    cg.randomUniform([10], { generator });
    generator.hostUniform(10);
    const saved = generator.stateDict();
    const draw = (from: Generator) => [cg.randomUniform([10], { generator: from }).dataSync(), from.hostUniform(3)];
    const wanted = draw(generator);
    const other = new Generator(1);
    other.loadStateDict(saved);
    expect(other.seed).toBe(2 ** 45 + 3);
    expect(draw(other)).toEqual(wanted);
    expect(errorOf(() => other.loadStateDict(new Map()))).toMatchObject({ code: 'ERR_VALUE' });
  });

  it('refuses what is no seed, and parameters that make no sense', () => {
    for (const seed of [-1, 0.5, NaN, 2 ** 53]) {
      expect(errorOf(() => setSeed(seed))).toMatchObject({ code: 'ERR_VALUE' });
    }
    expect(errorOf(() => cg.randomUniform([2], { low: 1, high: 1 }))).toMatchObject({
      code: 'ERR_VALUE',
      message: 'uniform: low must be less than high, got 1 and 1',
    });
    expect(errorOf(() => cg.randomNormal([2], { std: -1 }))).toMatchObject({ code: 'ERR_VALUE' });
    expect(errorOf(() => cg.randomNormal([2], { mean: NaN }))).toMatchObject({ code: 'ERR_VALUE' });
    expect(errorOf(() => cg.bernoulli([2], 1.5))).toMatchObject({ code: 'ERR_VALUE' });
    expect(errorOf(() => cg.randomInt([2], 3, 3))).toMatchObject({ code: 'ERR_VALUE' });
    expect(errorOf(() => cg.randomInt([2], 0, 2 ** 32))).toMatchObject({ code: 'ERR_VALUE' });
    expect(errorOf(() => cg.randomUniform([0]))).toMatchObject({ code: 'ERR_SHAPE' });
  });
});
