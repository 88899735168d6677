import { describe, expect, it } from 'vitest';
import * as cg from '../../lib';
import { dropout, Generator, gradCheck, tensor } from '../../lib';
import { array64, at, build } from '../reference/arrays';
import { errorOf, expectExact } from '../support/compare';
import { withThreadCounts } from '../support/isas';
import { TestData } from '../support/random';

const data = new TestData();
const context = `seed ${data.seed}`;
const seed = data.integer(0, 2 ** 31);

/** The mask that `dropout` draws: 1 where the word is at least rate · 2^32. */
function maskOf(shape: readonly number[], rate: number) {
  const size = shape.reduce((a, b) => a * b, 1);
  const words = cg.randomInt([size], -(2 ** 31), 2 ** 31, { generator: new Generator(seed) }).dataSync();
  return { shape, data: Float64Array.from(words, (word) => Number(word + 2 ** 31 >= rate * 2 ** 32)) };
}

describe('dropout', () => {
  it.each<[number[], number[] | undefined]>([
    [[7], undefined],
    [[3, 5, 11], undefined],
    [[70001], undefined],
    [
      [6, 9, 10, 33],
      [6, 1, 1, 33],
    ],
    [
      [6, 9, 10, 3],
      [6, 1, 1, 3],
    ],
    [
      [50, 40],
      [50, 1],
    ],
    [[50, 40], [40]],
    [[2, 3], [1]],
  ])('drops and scales by the mask, shape %j, noiseShape %j', (shape, noiseShape) => {
    const x = data.tensor(shape);
    const y = dropout(x, 0.25, { generator: new Generator(seed), noiseShape });
    const [reference, mask] = [array64(x), maskOf(noiseShape ?? shape, 0.25)];
    const scale = Math.fround(1 / 0.75);
    const expected = build(shape, (index) => (at(mask, index) ? Math.fround(at(reference, index) * scale) : 0));
    expectExact(y, expected.data, context);
  });

  it.each<[number[], number[] | undefined]>([
    [[5, 7], undefined],
    [
      [2, 3, 4, 5],
      [2, 1, 1, 5],
    ],
  ])('has the gradient that finite differences show, shape %j, noiseShape %j', (shape, noiseShape) => {
    gradCheck((x) => dropout(x, 0.4, { generator: new Generator(seed), noiseShape }), [data.tensor(shape)]);
  });

  it('keeps the part of the elements that it should, other ones each time', () => {
    const generator = new Generator(seed);
    const [first, second] = [0, 1].map(() => dropout(cg.ones([100_000]), 0.3, { generator }).dataSync());
    const kept = first!.filter((value) => value !== 0).length;
    expect(Math.abs(kept - 70_000), context).toBeLessThan(6 * Math.sqrt(0.21 * 100_000));
    const both = first!.filter((value, i) => value !== 0 && second![i] !== 0).length;
    expect(Math.abs(both - 49_000), context).toBeLessThan(6 * Math.sqrt(0.25 * 100_000));
  });

  it('gives the same numbers for any number of threads', () => {
    const x = data.tensor([101, 777]);
    const [one, ...others] = withThreadCounts(() => dropout(x, 0.5, { generator: new Generator(seed) }).dataSync());
    for (const other of others) expectExact(other, one!, context);
  });

  it('does nothing in inference, nor at rate 0, and uses no numbers then', () => {
    const generator = new Generator(seed);
    const x = data.tensor([10]);
    expectExact(dropout(x, 0.5, { training: false, generator }), x.dataSync());
    expectExact(dropout(x, 0, { generator }), x.dataSync());
    expectExact(generator.state, [seed | 0, 0, 0, 0]);
    gradCheck((x) => dropout(x, 0.5, { training: false }), [x]);
  });

  it('drops NaN too', () => {
    const y = dropout(tensor(new Float32Array(64).fill(NaN)), 0.5, { generator: new Generator(seed) }).dataSync();
    const mask = maskOf([64], 0.5).data;
    expectExact(y, mask.map((kept) => (kept ? NaN : 0))); // prettier-ignore
  });

  it('names what is wrong', () => {
    const x = data.tensor([2, 3]);
    for (const rate of [-0.1, 1, NaN]) {
      expect(errorOf(() => dropout(x, rate))).toMatchObject({
        code: 'ERR_VALUE',
        message: expect.stringContaining('dropout: rate must be in [0, 1), got'),
      });
    }
    expect(errorOf(() => dropout(x, 0.5, { noiseShape: [3, 3] }))).toMatchObject({
      code: 'ERR_SHAPE',
      message: 'dropout: noiseShape [3, 3] does not broadcast to [2, 3]',
    });
  });
});
