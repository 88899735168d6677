import { describe, expect, it } from 'vitest';
import { memory, tensor, type DType, type Tensor } from '../../lib';
import { Dataset, mixup } from '../../lib/data';
import { freshSeed, streamOf } from '../../lib/data/random';
import { errorOf } from '../support/compare';

/** Four images of one pixel, 10, 20, 30 and 40, with labels 0, 1, 2 and 0. */
const images = () => tensor(Uint8Array.of(10, 20, 30, 40), [4, 1, 1, 1]);
const labels = () => tensor(Int32Array.of(0, 1, 2, 0));

describe('mixup', () => {
  it('mixes images and labels with the same weights and partners', () => {
    using x = images();
    using y = labels();
    for (let i = 0; i < 50; ++i) {
      const [mixed, soft] = mixup({ classes: 3, alpha: 1 })([x, y], 0, streamOf(1, 0, i));
      expect([mixed.dtype, mixed.shape, soft.dtype, soft.shape]).toEqual(['float32', [4, 1, 1, 1], 'float32', [4, 3]]);
      const rows = soft.arraySync() as number[][];
      // What is left of an image when its own weight is known must be that of a partner, and the label the partner's.
      const weights = [...mixed.dataSync()];
      rows.forEach((row, own) =>
        expect(
          row.reduce((a, b) => a + b),
          `image ${own}`,
        ).toBeCloseTo(1, 6),
      );
      const total = weights.reduce((a, b) => a + b);
      expect(total).toBeCloseTo(100, 4);
      // Image 1 is the only one of class 1: its weight in a mixture is there in both.
      rows.forEach((row, own) => {
        const own10 = [10, 20, 30, 40][own]!;
        const found = [10, 20, 30, 40].some((partner, at) => {
          const weight = partner === own10 ? 1 : (weights[own]! - partner) / (own10 - partner);
          if (weight < -1e-5 || weight > 1 + 1e-5) return false;
          const expected = [0, 0, 0];
          expected[[0, 1, 2, 0][own]!]! += weight;
          expected[[0, 1, 2, 0][at]!]! += 1 - weight;
          return expected.every((value, c) => Math.abs(value - row[c]!) < 1e-5);
        });
        expect(found, `stream ${i}, image ${own}: ${weights[own]} with labels ${row.join()}`).toBe(true);
      });
      mixed.dispose();
      soft.dispose();
    }
  });

  it('draws its weight from Beta(alpha, alpha)', () => {
    // An image of 0 and one of 1: the mixture is the weight or what it leaves; the mean of its square is known.
    using x = tensor(Float32Array.of(0, 1), [2, 1]);
    using y = tensor(Int32Array.of(0, 1));
    for (const alpha of [0.01, 0.2, 1, 3]) {
      let [count, squares] = [0, 0];
      for (let i = 0; i < 1500; ++i) {
        const [mixed, soft] = mixup({ classes: 2, alpha })([x, y], 0, streamOf(2, 0, i));
        const [a, b] = mixed.dataSync() as Float32Array;
        mixed.dispose();
        soft.dispose();
        if (a === 0 && b === 1) continue; // each is its own partner, or the weight is 1
        count += 1;
        squares += a! ** 2 + b! ** 2;
      }
      if (alpha < 0.1) continue; // nearly all weights are 0 or 1
      // E[w^2] + E[(1 - w)^2] = (alpha + 1) / (2 alpha + 1)
      expect(Math.abs(squares / count - (alpha + 1) / (2 * alpha + 1)), `alpha ${alpha}`).toBeLessThan(0.06);
    }
  });

  it('maps batches, by seed, and leaves no tensors behind', async () => {
    freshSeed(); // the state of the shared generator is a tensor that stays
    const before = memory().tensors;
    const batches = () =>
      Dataset.from((): [Tensor<DType>, Tensor<DType>][] => [[images(), labels()]]).map(mixup({ classes: 3 }), {
        seed: 5,
      });
    const values: number[][] = [];
    for (let pass = 0; pass < 2; ++pass) {
      for await (const [x, y] of batches()) {
        values.push([...x.dataSync(), ...y.dataSync()]);
        x.dispose();
        y.dispose();
      }
    }
    expect(values[0]).toEqual(values[1]);
    expect(memory().tensors).toBe(before);
  });

  it('takes soft labels, and refuses others', () => {
    using x = images();
    using soft = tensor([[1, 0], [0, 1], [1, 0], [0, 1]]); // prettier-ignore
    const mixed = mixup({ classes: 2 })([x, soft], 0, streamOf(3));
    expect(mixed[1].shape).toEqual([4, 2]);
    for (const result of mixed) result.dispose();
    const error = errorOf(() => mixup({ classes: 3 })([x, soft], 0, streamOf(3)));
    expect(error.message).toBe('mixup: labels must be int32 [N] or float32 [N, 3], got float32 [4, 2]');
    expect(errorOf(() => mixup({ classes: 0 })).code).toBe('ERR_VALUE');
    expect(errorOf(() => mixup({ classes: 2, alpha: 0 })).code).toBe('ERR_VALUE');
  });
});
