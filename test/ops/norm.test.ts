import { describe, expect, it } from 'vitest';
import {
  batchNorm,
  gradCheck,
  groupNorm,
  layerNorm,
  memory,
  ones,
  tensor,
  tidy,
  zeros,
  type AffineOptions,
  type Tensor,
} from '../../lib';
import { jointGradients } from '../../lib/ops/joint';
import { native } from '../../lib/native';
import { loadCases } from '../fixtures/load';
import { normalize, type Normalization } from '../reference/norm';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { expectGolden, goldenTensor } from '../support/golden';
import { withThreadCounts } from '../support/isas';
import { TestData } from '../support/random';

const tolerance = { relative: 2e-5, absolute: 1e-6 };
const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const leaf = (t: Tensor): Tensor => {
  t.requiresGrad = true;
  return t;
};

/** Runs an op forward and backward on random data and holds all results against the reference. */
function compare(
  data: TestData,
  shape: readonly number[],
  channelShape: readonly number[],
  affine: boolean,
  op: (x: Tensor, affine: AffineOptions) => Tensor,
  sets: Omit<Normalization, 'x' | 'dy' | 'gamma' | 'beta' | 'channels'>,
): void {
  const context = `seed ${data.seed}`;
  const x = leaf(data.tensor(shape, -2, 3));
  const dy = data.tensor(shape);
  const [gamma, beta] = [leaf(data.tensor(channelShape, 0.5, 2)), leaf(data.tensor(channelShape))];
  const y = op(x, affine ? { gamma, beta } : {});
  y.backward({ gradient: dy });
  const expected = normalize({
    ...sets,
    x: x.dataSync(),
    dy: dy.dataSync(),
    channels: sizeOf(channelShape),
    ...(affine ? { gamma: gamma.dataSync(), beta: beta.dataSync() } : {}),
  });
  expect(y.shape).toEqual(shape);
  expectClose(y, expected.y, tolerance, `${context} y`);
  expectClose(x.grad!, expected.dx, { ...tolerance, scale: expected.dxScale }, `${context} dx`);
  if (!affine) return;
  expect(gamma.grad!.shape).toEqual(channelShape);
  expectClose(gamma.grad!, expected.dgamma, { ...tolerance, scale: Math.sqrt(sizeOf(shape)) }, `${context} dgamma`);
  expectClose(beta.grad!, expected.dbeta, { ...tolerance, scale: Math.sqrt(sizeOf(shape)) }, `${context} dbeta`);
}

describe.each([
  [[5, 3]],
  [[2, 3, 4, 1]],
  [[2, 5, 7, 19]],
  [[3, 9, 11, 64]],
  [[2, 3, 130]],
  [[4, 65, 17, 5]],
  [[31, 300]],
])('batchNorm of %j', (shape) => {
  const data = new TestData();
  const channels = shape.at(-1)!;
  const sets = { setOf: (i: number) => i % channels, sets: channels, channelOf: (i: number) => i % channels };

  it.each([true, false])('in training, affine: %s', (affine) => {
    compare(
      data,
      shape,
      [channels],
      affine,
      (x, options) => batchNorm(x, { ...options, training: true, epsilon: 1e-3 }),
      {
        ...sets,
        epsilon: Math.fround(1e-3),
      },
    );
  });

  it.each([true, false])('in inference, affine: %s', (affine) => {
    const [runningMean, runningVar] = [data.tensor([channels]), data.tensor([channels], 0.5, 2)];
    compare(
      data,
      shape,
      [channels],
      affine,
      (x, options) => batchNorm(x, { ...options, runningMean, runningVar, training: false, epsilon: 1e-3 }),
      {
        ...sets,
        epsilon: Math.fround(1e-3),
        given: { mean: runningMean.dataSync(), variance: runningVar.dataSync() },
      },
    );
  });

  it.each([true, false])('moves the running statistics, unbiased: %s', (unbiasedRunningVar) => {
    const x = data.tensor(shape, 5, 7);
    const [runningMean, runningVar] = [zeros([channels]), ones([channels])];
    batchNorm(x, { training: true, runningMean, runningVar, momentum: 0.25, unbiasedRunningVar });
    const { mean, variance } = normalize({ ...sets, x: x.dataSync(), dy: x.dataSync(), channels, epsilon: 0 });
    const n = sizeOf(shape) / channels;
    const correction = unbiasedRunningVar ? n / (n - 1) : 1;
    expectClose(
      runningMean,
      mean.map((m) => 0.25 * m),
      { relative: 1e-6 },
      `seed ${data.seed}`,
    );
    expectClose(
      runningVar,
      variance.map((v) => 0.75 + 0.25 * v * correction),
      { relative: 1e-6 },
      `seed ${data.seed}`,
    );
  });

  it('gives the same numbers for any number of threads', () => {
    const x = leaf(data.tensor(shape));
    const dy = data.tensor(shape);
    const gamma = leaf(data.tensor([channels]));
    const [one, ...others] = withThreadCounts(() => {
      [x.grad, gamma.grad] = [null, null];
      const y = batchNorm(x, { gamma, training: true });
      y.backward({ gradient: dy });
      return [y, x.grad!, gamma.grad!].map((t) => t.dataSync());
    });
    for (const other of others) other.forEach((values, i) => expectExact(values, one![i]!, `seed ${data.seed}`));
  });
});

describe('batchNorm', () => {
  const data = new TestData();

  it('loses nothing to a large mean', () => {
    const values = data.floats(4000 * 3).map((v) => v + 1000);
    const y = batchNorm(tensor(values, [4000, 3]), { training: true, epsilon: 0 });
    const expected = normalize({
      x: values,
      dy: values,
      setOf: (i) => i % 3,
      sets: 3,
      channelOf: (i) => i % 3,
      channels: 3,
      epsilon: 0,
    });
    // The inputs are only good to 1000 · 2^-24, so no result is better than that.
    expectClose(y, expected.y, { relative: 0, absolute: 3e-4 }, `seed ${data.seed}`);
  });

  it('is exact where the statistics are', () => {
    const x = tensor([1, 10, 3, 30, 1, 10, 3, 30], [4, 2]);
    expectExact(batchNorm(x, { training: true, epsilon: 0 }), [-1, -1, 1, 1, -1, -1, 1, 1]);
  });

  it('has the gradients that finite differences show', () => {
    const [x, gamma, beta] = [data.tensor([4, 3, 2]), data.tensor([2], 0.5, 2), data.tensor([2])] as const;
    gradCheck((x, gamma, beta) => batchNorm(x, { gamma, beta, training: true }), [x, gamma, beta]);
    const [runningMean, runningVar] = [data.tensor([2]), data.tensor([2], 0.5, 2)];
    gradCheck(
      (x, gamma, beta) => batchNorm(x, { gamma, beta, runningMean, runningVar, training: false }),
      [x, gamma, beta],
    );
    gradCheck((x) => batchNorm(x, { training: true }), [x]);
  });

  it('frees the gradients that nobody wants', () => {
    const x = data.tensor([64, 64, 16]);
    const gamma = leaf(ones([16]));
    const before = memory();
    tidy(() => batchNorm(x, { gamma, training: true }).backward({ gradient: ones(x.shape) }));
    expect(memory().blocks).toBe(before.blocks + 1); // gamma.grad
    expect(gamma.grad).not.toBeNull();
  });

  it('makes a channel with a NaN NaN, and no other', () => {
    const y = batchNorm(tensor([1, NaN, 3, 4, 5, 6], [3, 2]), { training: true, epsilon: 0 }).dataSync();
    expect([...y].map(Number.isNaN)).toEqual([false, true, false, true, false, true]);
  });

  it.each([
    [() => batchNorm(data.tensor([3]), { training: true }), 'ERR_SHAPE', /x must have at least 2 dimensions/],
    [
      () => batchNorm(data.tensor([4, 3]), { training: true, gamma: ones([4]) }),
      'ERR_SHAPE',
      /gamma must have shape \[3\], got \[4\]/,
    ],
    [() => batchNorm(data.tensor([1, 3]), { training: true }), 'ERR_SHAPE', /more than one value a channel/],
    [() => batchNorm(data.tensor([4, 3]), { training: false }), 'ERR_VALUE', /needs runningMean and runningVar/],
    [() => batchNorm(data.tensor([4, 3]), { training: true, momentum: 2 }), 'ERR_VALUE', /momentum/],
    [() => batchNorm(data.tensor([4, 3]), { training: true, epsilon: -1 }), 'ERR_VALUE', /epsilon/],
    [
      () => batchNorm(tensor([1, 2], [2, 1], 'int32') as unknown as Tensor, { training: true }),
      'ERR_DTYPE',
      /float32, got int32/,
    ],
    [() => groupNorm(data.tensor([4, 3]), { groups: 2 }), 'ERR_VALUE', /groups must divide the 3 channels.*got 2/],
    [() => groupNorm(data.tensor([4, 3]), { groups: 0 }), 'ERR_VALUE', /groups/],
    [() => layerNorm(data.tensor([4, 3]), { normalizedRank: 3 }), 'ERR_VALUE', /normalizedRank must be from 1 to 2/],
    [() => layerNorm(data.tensor([4, 3]), { beta: zeros([4]) }), 'ERR_SHAPE', /beta must have shape \[3\]/],
  ] as [() => unknown, string, RegExp][])('and its relatives refuse bad input %#', (body, code, message) => {
    const error = errorOf(body);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });
});

describe('layerNorm', () => {
  const data = new TestData();
  it.each([
    [[7, 9], 1],
    [[2, 3, 17], 1],
    [[3, 2, 5, 8], 3],
    [[200, 33], 1],
    [[19], 1],
    [[2, 3000], 1],
  ] as [number[], number][])('matches the float64 reference on %j over %i axes', (shape, normalizedRank) => {
    const row = shape.slice(shape.length - normalizedRank);
    const size = sizeOf(row);
    for (const affine of [true, false]) {
      compare(data, shape, row, affine, (x, options) => layerNorm(x, { ...options, normalizedRank }), {
        setOf: (i) => Math.floor(i / size),
        sets: sizeOf(shape) / size,
        channelOf: (i) => i % size,
        epsilon: Math.fround(1e-5),
      });
    }
  });

  it('has the gradients that finite differences show', () => {
    gradCheck(
      (x, gamma, beta) => layerNorm(x, { gamma, beta, normalizedRank: 2 }),
      [data.tensor([3, 2, 4]), data.tensor([2, 4], 0.5, 2), data.tensor([2, 4])],
    );
  });

  it('gives the same numbers for any number of threads', () => {
    const [x, gamma] = [leaf(data.tensor([300, 130])), leaf(data.tensor([130]))];
    const [one, ...others] = withThreadCounts(() => {
      [x.grad, gamma.grad] = [null, null];
      layerNorm(x, { gamma }).backward({ gradient: x });
      return [x.grad!, gamma.grad!].map((t) => t.dataSync());
    });
    for (const other of others) other.forEach((values, i) => expectExact(values, one![i]!, `seed ${data.seed}`));
  });
});

describe('groupNorm', () => {
  const data = new TestData();
  it.each([
    [[2, 3, 5, 6], 2],
    [[3, 7, 12], 12],
    [[2, 4, 9, 130], 1],
    [[5, 24], 4],
    [[2, 40, 40, 24], 3],
  ] as [number[], number][])('matches the float64 reference on %j in %i groups', (shape, groups) => {
    const channels = shape.at(-1)!;
    const sample = sizeOf(shape) / shape[0]!;
    for (const affine of [true, false]) {
      compare(data, shape, [channels], affine, (x, options) => groupNorm(x, { ...options, groups }), {
        setOf: (i) => Math.floor(i / sample) * groups + Math.floor(((i % channels) * groups) / channels),
        sets: shape[0]! * groups,
        channelOf: (i) => i % channels,
        epsilon: Math.fround(1e-5),
      });
    }
  });

  it('has the gradients that finite differences show', () => {
    gradCheck(
      (x, gamma, beta) => groupNorm(x, { gamma, beta, groups: 2 }),
      [data.tensor([2, 3, 4]), data.tensor([4], 0.5, 2), data.tensor([4])],
    );
  });

  it('gives the same numbers for any number of threads', () => {
    const [x, gamma] = [leaf(data.tensor([3, 33, 31, 48])), leaf(data.tensor([48]))];
    const [one, ...others] = withThreadCounts(() => {
      [x.grad, gamma.grad] = [null, null];
      groupNorm(x, { gamma, groups: 4 }).backward({ gradient: x });
      return [x.grad!, gamma.grad!].map((t) => t.dataSync());
    });
    for (const other of others) other.forEach((values, i) => expectExact(values, one![i]!, `seed ${data.seed}`));
  });
});

describe('jointGradients', () => {
  it('computes once, and decides what to keep when the op is recorded', () => {
    const [a, b] = [leaf(zeros([1])), zeros([1])];
    let calls = 0;
    const before = memory().blocks;
    const gradients = jointGradients({ a, b }, () => {
      calls += 1;
      return [native.fill('float32', [2], 5), native.fill('float32', [3], 6)];
    });
    a.dispose();
    const thunks = gradients(b, {});
    expect(calls).toBe(0);
    const gradient = thunks['a']!();
    expectExact(gradient, [5, 5]);
    expect([calls, memory().blocks]).toEqual([1, before]); // a's block went, its gradient's came
  });
});

interface GoldenNorm {
  training: boolean;
  eps: number;
  momentum: number;
  groups: number;
  normalizedShape: number[];
}

describe('normalisation as PyTorch', () => {
  it.each(loadCases<GoldenNorm>('norm').filter(({ op }) => op !== 'batchNorm2d'))('$name', (golden) => {
    const { eps: epsilon, groups, normalizedShape } = golden.config;
    expectGolden(golden as never, ({ input, weight: gamma, bias: beta }) =>
      golden.op === 'groupNorm'
        ? groupNorm(input!, { gamma, beta, groups, epsilon })
        : layerNorm(input!, { gamma, beta, epsilon, normalizedRank: normalizedShape.length }),
    );
  });

  it.each(loadCases<GoldenNorm>('norm', 'batchNorm2d'))('$name', ({ config, inputs, upstream, outputs, grads }) => {
    const tensors = Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, goldenTensor(value)]));
    const { weight: gamma, bias: beta } = tensors;
    const [runningMean, runningVar] = [tensors['runningMean']!.detach(), tensors['runningVar']!.detach()];
    const { training, momentum, eps: epsilon } = config;
    for (const name of Object.keys(inputs).filter((name) => name.startsWith('input'))) {
      const index = name.slice('input'.length);
      const y = batchNorm(tensors[name]!, { gamma, beta, runningMean, runningVar, training, momentum, epsilon });
      expectClose(y, outputs[`output${index}`]!.data, { relative: 1e-5, absolute: 1e-6 });
      const dy = upstream[`output${index}`]!;
      y.backward({ gradient: tensor(Float32Array.from(dy.data), dy.shape) });
    }
    for (const [name, grad] of Object.entries(grads)) {
      expectClose(tensors[name]!.grad!, grad.data, { relative: 2e-5, absolute: 1e-6 }, name);
    }
    expectClose(runningMean, (outputs['runningMean'] ?? inputs['runningMean']!).data, { relative: 1e-6 });
    expectClose(runningVar, (outputs['runningVar'] ?? inputs['runningVar']!).data, { relative: 1e-6 });
  });
});
