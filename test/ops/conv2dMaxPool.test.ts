import { describe, expect, it } from 'vitest';
import * as cg from '../../lib';
import { conv2d, conv2dMaxPool, gradCheck, maxPool2d, relu, relu6, tensor, type Tensor } from '../../lib';
import { oddConvs, smallNetworkConvs, winogradConvs } from '../problems';
import { forward, inputShape, outputShape, resolve, weightShape } from '../reference/conv2d';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { withThreadCounts } from '../support/isas';
import { TestData } from '../support/random';

const sizeOf = (shape: readonly number[]): number => shape.reduce((size, dim) => size * dim, 1);

const problems = [...oddConvs, ...winogradConvs, ...smallNetworkConvs].filter((problem) => {
  const [, p, q] = outputShape(resolve(problem));
  return problem.groups === 1 && p! >= 2 && q! >= 2;
});

describe.each(problems)('$name', (problem) => {
  const conv = resolve(problem);
  const [xShape, wShape, yShape] = [inputShape(conv), weightShape(conv), outputShape(conv)];
  const { stride, padding, dilation } = problem;
  const windows = { stride, padding, dilation };
  const data = new TestData();
  const context = `seed ${data.seed}`;
  const activations = { none: (z: Tensor) => z, relu, relu6 };

  /** What the layers make of it one by one, from sums in float64. */
  const oneByOne = (x: Float32Array, weight: Float32Array, bias: Float32Array, activation: keyof typeof activations) =>
    cg.tidy(() => {
      const sums = tensor(Float32Array.from(forward(conv, x, weight, bias)), yShape);
      return maxPool2d(activations[activation](sums), { poolSize: 2 }).dataSync();
    });

  it('matches the float64 reference', () => {
    const [x, weight, bias] = [data.floats(sizeOf(xShape)), data.floats(sizeOf(wShape)), data.floats(conv.k)];
    for (const [activation, precision] of [
      ['none', 'high'],
      ['none', 'highest'],
      ['relu', 'high'],
      ['relu', 'highest'],
      ['relu6', 'high'],
      ['relu6', 'highest'],
    ] as const) {
      const options = { ...windows, activation, precision };
      const y = conv2dMaxPool(tensor(x, xShape), tensor(weight, wShape), tensor(bias), options);
      expect(y.shape).toEqual([yShape[0], yShape[1]! >> 1, yShape[2]! >> 1, yShape[3]]);
      const scale = 2 * Math.sqrt(conv.r * conv.s * conv.c) + 2; // maxima are the larger ones of the sums
      const wanted = oneByOne(x, weight, bias, activation);
      const relative = precision === 'high' ? 5e-6 : 1e-6;
      expectClose(y.dataSync(), wanted, { relative, scale }, `${activation}, ${precision}, ${context}`);
    }
  });

  it('is exact on integers, and sends its gradient to the first of equal maxima', () => {
    const [x, weight] = [data.integers(sizeOf(xShape)), data.integers(sizeOf(wShape))];
    const bias = data.integers(conv.k);
    for (const activation of ['none', 'relu'] as const) {
      const results = [true, false].map((fused) =>
        cg.tidy(() => {
          const leaves = [tensor(x, xShape), tensor(weight, wShape), tensor(bias)] as const;
          for (const leaf of leaves) leaf.requiresGrad = true;
          const options = { ...windows, activation };
          const y = fused
            ? conv2dMaxPool(...leaves, { ...options, precision: 'highest' })
            : maxPool2d(conv2d(...leaves, { ...options, algorithm: 'implicit_gemm' }), { poolSize: 2 });
          y.sum().backward();
          const gradients = leaves.map((leaf) => leaf.grad!.dataSync());
          for (const leaf of leaves) leaf.grad!.dispose();
          return [y.dataSync(), ...gradients];
        }),
      );
      expectExact(results[0]![0]!, oneByOne(x, weight, bias, activation), context);
      results[0]!.forEach((values, i) => expectExact(values, results[1]![i]!, `${activation} ${i}, ${context}`));
    }
  });

  it('gives the same numbers for any number of threads', () => {
    const [x, weight] = [data.tensor(xShape), data.tensor(wShape)];
    const [one, ...others] = withThreadCounts(() => conv2dMaxPool(x, weight, null, windows).dataSync());
    for (const other of others) expectExact(other, one!, context);
  });
});

describe('conv2dMaxPool', () => {
  it('has the gradients that finite differences give', () => {
    // All values of an image are at least 1 apart, so that a small step changes no maximum.
    const x = tensor(
      Float32Array.from({ length: 40 }, (_, i) => ((i * 11) % 41) - 19.6),
      [1, 5, 8, 1],
    );
    for (const activation of ['none', 'relu', 'relu6'] as const) {
      gradCheck(
        (x, weight, bias) => conv2dMaxPool(x, weight, bias, { stride: [1, 2], activation }),
        [x, tensor([1, -0.5], [1, 1, 1, 2]), tensor([0.25, 0.5])],
      );
    }
  });

  it('takes an image of many channels, whose padding is zeros', () => {
    const data = new TestData();
    const [x, weight] = [data.integers(4 * 4 * 700), data.integers(9 * 700 * 3)];
    const [image, kernel] = [tensor(x, [1, 4, 4, 700]), tensor(weight, [3, 3, 700, 3])];
    const wanted = maxPool2d(conv2d(image, kernel, null, { padding: 1, algorithm: 'reference' }), { poolSize: 2 });
    expectExact(conv2dMaxPool(image, kernel, null, { padding: 1, precision: 'highest' }).dataSync(), wanted.dataSync());
  });

  it('passes NaN on', () => {
    const x = tensor([1, NaN, 2, 3], [1, 2, 2, 1]);
    const y = conv2dMaxPool(x, tensor([1], [1, 1, 1, 1]), null, { activation: 'relu' });
    expect(y.dataSync()[0]).toBeNaN();
  });

  it('refuses what it cannot do', () => {
    const weight = cg.ones([3, 3, 2, 4]);
    expect(errorOf(() => conv2dMaxPool(cg.ones([1, 3, 9, 2]), weight))).toMatchObject({
      code: 'ERR_SHAPE',
      message: 'conv2dMaxPool: a window of 2x2 does not fit into a convolution of 1x7',
    });
    expect(errorOf(() => conv2dMaxPool(cg.ones([1, 9, 9, 3]), weight)).code).toBe('ERR_SHAPE');
    const activation = 'silu' as 'relu';
    expect(errorOf(() => conv2dMaxPool(cg.ones([1, 9, 9, 2]), weight, null, { activation })).message).toBe(
      'conv2dMaxPool: activation must be none, relu or relu6, got silu',
    );
  });
});
