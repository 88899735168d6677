import { describe, expect, it } from 'vitest';
import {
  conv2d,
  conv2dBackwardInput,
  keep,
  matmul,
  memory,
  randomUniform,
  synchronize,
  tidy,
  transpose,
  type Tensor,
} from 'convgrad';

/** The result three times, the last two from kept copies, and once from another tensor of the same numbers. */
function repeats(op: (weight: Tensor) => Tensor, weight: Tensor): void {
  tidy(() => {
    const [first, ...others] = Array.from({ length: 3 }, () => op(weight).dataSync());
    const copy = randomUniform(weight.shape).assign(weight);
    for (const other of [...others, op(copy).dataSync()]) expect(other).toEqual(first);
  });
}

const weightOps: Record<string, { shape: readonly number[]; op: (weight: Tensor) => Tensor }> = {
  'a convolution': {
    shape: [3, 3, 20, 33],
    op: (w) => conv2d(randomUniformOf([2, 9, 11, 20]), w, null, { padding: 1, algorithm: 'implicit_gemm' }),
  },
  'a Winograd convolution': {
    shape: [3, 3, 20, 33],
    op: (w) => conv2d(randomUniformOf([2, 9, 11, 20]), w, null, { padding: 1, algorithm: 'winograd' }),
  },
  'the gradient of a Winograd convolution': {
    shape: [3, 3, 20, 33],
    op: (w) => conv2dBackwardInput(randomUniformOf([2, 9, 11, 33]), w, [2, 11, 13, 20], { algorithm: 'winograd' }),
  },
  'a convolution in groups': {
    shape: [3, 3, 5, 12],
    op: (w) => conv2d(randomUniformOf([2, 9, 11, 20]), w, null, { groups: 4, algorithm: 'implicit_gemm' }),
  },
  'a gradient of a strided convolution': {
    shape: [3, 2, 7, 18],
    op: (w) => conv2dBackwardInput(randomUniformOf([1, 5, 6, 18]), w, [1, 11, 12, 7], { stride: 2 }),
  },
  'a product': { shape: [300, 70], op: (w) => matmul(randomUniformOf([13, 300]), w) },
  'a product with the transpose': {
    shape: [300, 70],
    op: (w) => matmul(randomUniformOf([13, 70]), w, { transposeB: true }),
  },
};

const inputs = new Map<string, Tensor>();
/** The same numbers for the same shape. */
function randomUniformOf(shape: readonly number[]): Tensor {
  const key = shape.join();
  if (!inputs.has(key)) inputs.set(key, keep(randomUniform(shape)));
  return inputs.get(key)!;
}

describe('packed copies of weights', () => {
  for (const [name, { shape, op }] of Object.entries(weightOps)) {
    it(`give ${name} the same numbers, and follow the weight when it changes`, () => {
      const weight = randomUniform(shape);
      repeats(op, weight);
      weight.assign(randomUniform(shape));
      repeats(op, weight);
      weight.dispose();
    });
  }

  it('do not mix up ops that take the same weight in different ways', () => {
    const weight = randomUniform([3, 3, 8, 8]);
    const dy = randomUniformOf([1, 5, 5, 8]);
    const flat = weight.reshape([72, 8]);
    for (let round = 0; round < 3; round++) {
      repeats((w) => conv2dBackwardInput(dy, w, [1, 11, 11, 8], { stride: 2 }), weight);
      repeats((w) => conv2dBackwardInput(dy, w, [1, 9, 9, 8], { stride: 2, padding: 1 }), weight);
      repeats((w) => conv2d(dy, w, null, { padding: 1 }), weight);
      repeats((w) => conv2d(dy, w, null, { padding: 2, dilation: 2 }), weight);
      repeats((w) => matmul(randomUniformOf([9, 72]), w), flat);
      repeats((w) => matmul(randomUniformOf([9, 8]), w, { transposeB: true }), flat);
      repeats((w) => matmul(randomUniformOf([9, 8]), transpose(w)), flat);
    }
    weight.dispose();
    flat.dispose();
  });

  it('are made at the second use, are counted, and go with the tensor', async () => {
    const { packedBytes } = memory();
    const weight = randomUniform([3, 3, 16, 32]);
    const x = randomUniformOf([1, 8, 8, 16]);
    const use = async () => {
      conv2d(x, weight, null, { algorithm: 'implicit_gemm' }).dispose();
      await synchronize();
      return memory().packedBytes - packedBytes;
    };
    expect(await use()).toBe(0);
    expect(await use()).toBeGreaterThanOrEqual(weight.size * 4);
    const kept = await use();
    expect(kept).toBe(await use());
    weight.assign(randomUniform(weight.shape));
    expect(await use()).toBe(kept);
    weight.dispose();
    await synchronize();
    expect(memory().packedBytes).toBe(packedBytes);
  });
});
