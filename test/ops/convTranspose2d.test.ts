import { describe, expect, it } from 'vitest';
import * as cg from '../../lib';
import { conv2d, convTranspose2d, gradCheck, tensor, type Tensor } from '../../lib';
import { backwardInput, resolve } from '../reference/conv2d';
import type { ConvProblem } from '../problems';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { withThreadCounts } from '../support/isas';
import { TestData } from '../support/random';

type Pair = [number, number];

interface Case {
  name: string;
  /** [N, P, Q, C] */
  x: [number, number, number, number];
  /** [R, S, K / groups, C] */
  weight: [number, number, number, number];
  stride?: Pair;
  padding?: ConvProblem['padding'];
  outputPadding?: Pair;
  dilation?: Pair;
  groups?: number;
  /** [H, W] */
  size: Pair;
}

const cases: Case[] = [
  { name: 'one pixel', x: [1, 1, 1, 1], weight: [1, 1, 1, 1], size: [1, 1] },
  { name: '3x3', x: [2, 4, 5, 6], weight: [3, 3, 7, 6], size: [6, 7] },
  { name: '3x3, padding 1', x: [2, 9, 11, 34], weight: [3, 3, 20, 34], padding: 1, size: [9, 11] },
  { name: '2x2, stride 2', x: [2, 4, 5, 6], weight: [2, 2, 17, 6], stride: [2, 2], size: [8, 10] },
  {
    name: '3x3, stride 2, same',
    x: [2, 4, 5, 6],
    weight: [3, 3, 7, 6],
    stride: [2, 2],
    padding: 'same',
    size: [8, 10],
  },
  {
    name: '4x4, stride 2, padding 1',
    x: [1, 5, 3, 20],
    weight: [4, 4, 9, 20],
    stride: [2, 2],
    padding: 1,
    size: [10, 6],
  },
  { name: 'stride larger than the kernel', x: [1, 3, 4, 2], weight: [2, 2, 3, 2], stride: [3, 4], size: [9, 16] },
  {
    name: 'output padding',
    x: [2, 4, 3, 5],
    weight: [3, 3, 4, 5],
    stride: [2, 2],
    padding: 1,
    outputPadding: [1, 0],
    size: [8, 5],
  },
  {
    name: 'same with output padding',
    x: [1, 4, 3, 5],
    weight: [3, 3, 4, 5],
    stride: [2, 2],
    padding: 'same',
    outputPadding: [1, 0],
    size: [8, 5],
  },
  { name: 'dilation', x: [1, 4, 5, 3], weight: [3, 2, 4, 3], stride: [2, 1], dilation: [2, 3], size: [11, 8] },
  { name: 'groups', x: [2, 4, 5, 6], weight: [3, 3, 4, 6], stride: [2, 2], padding: 1, groups: 2, size: [7, 9] },
  {
    name: 'depthwise',
    x: [2, 4, 5, 6],
    weight: [3, 3, 1, 6],
    stride: [2, 2],
    padding: 'same',
    groups: 6,
    size: [8, 10],
  },
];

describe.each(cases)('convTranspose2d, $name', (problem) => {
  const { x: xShape, weight: wShape, size, groups = 1 } = problem;
  const { stride = [1, 1] as Pair, padding = 'valid', dilation = [1, 1] as Pair, outputPadding } = problem;
  const options = { stride, padding, dilation, groups, outputPadding };
  const channels = wShape[2] * groups;
  const [n, p, q, c] = xShape;
  const data = new TestData();
  const context = `seed ${data.seed}`;
  // The convolution that this is the gradient of; where stride and padding lose rows, P and Q are those of x.
  const [h, w] = size;
  const conv = {
    ...resolve({ name: '', n, h, w, c: channels, k: c, r: wShape[0], s: wShape[1], stride, padding, dilation, groups }),
    p,
    q,
  };
  const count = (shape: readonly number[]): number => shape.reduce((size, dim) => size * dim, 1);

  it('matches the float64 reference, with bias and activation', () => {
    const [x, weight, bias] = [data.floats(count(xShape)), data.floats(count(wShape)), data.floats(channels)];
    const sums = backwardInput(conv, x, weight).map((sum, i) => sum + bias[i % channels]!);
    const scale = Math.max(4, Math.sqrt((wShape[0] * wShape[1] * c) / groups) + 1);
    const winograd = wShape[0] === 3 && wShape[1] === 3 && [...stride, ...dilation, groups].every((one) => one === 1);
    for (const algorithm of ['auto', 'implicit_gemm', 'im2col', 'reference', 'winograd'] as const) {
      if (algorithm === 'winograd' && !winograd) continue;
      const y = convTranspose2d(tensor(x, xShape), tensor(weight, wShape), tensor(bias), {
        ...options,
        algorithm,
        activation: 'tanh',
      });
      expect(y.shape).toEqual([n, h, w, channels]);
      const relative = algorithm === 'winograd' || algorithm === 'auto' ? 5e-6 : 1e-6;
      expectClose(y, sums.map(Math.tanh), { relative, scale }, `${algorithm}, ${context}`);
    }
  });

  it('is exact on integers, for any number of threads', () => {
    const [x, weight] = [data.integers(count(xShape)), data.integers(count(wShape))];
    const expected = backwardInput(conv, x, weight);
    for (const result of withThreadCounts(() =>
      convTranspose2d(tensor(x, xShape), tensor(weight, wShape), null, { ...options, precision: 'highest' }).dataSync(),
    )) {
      expectExact(result, expected, context);
    }
  });

  it('has the gradients that finite differences show', () => {
    const inputs: [Tensor, Tensor, Tensor] = [data.tensor(xShape), data.tensor(wShape), data.tensor([channels])];
    if (count(xShape) + count(wShape) > 500) return;
    gradCheck((x, weight, bias) => convTranspose2d(x, weight, bias, options), inputs);
  });
});

describe('convTranspose2d', () => {
  it('undoes the size of conv2d', () => {
    const x = cg.ones([1, 9, 8, 2]);
    const y = conv2d(x, cg.ones([3, 3, 2, 5]), null, { stride: 2, padding: 1 });
    expect(y.shape).toEqual([1, 5, 4, 5]);
    const back = convTranspose2d(y, cg.ones([3, 3, 2, 5]), null, { stride: 2, padding: 1, outputPadding: [0, 1] });
    expect(back.shape).toEqual([1, 9, 8, 2]);
  });

  it.each(['relu', 'sigmoid', 'silu'] as const)('has the gradients through %s', (activation) => {
    const data = new TestData();
    const [x, weight] = [tensor(data.integers(12), [1, 2, 2, 3]), tensor(data.integers(24, -1, 1), [2, 2, 2, 3])];
    gradCheck((x, weight, bias) => convTranspose2d(x, weight, bias, { activation }), [x, weight, tensor([0.5, -0.5])]);
  });

  const x = cg.zeros([1, 4, 4, 6]);
  it.each([
    {
      body: () => convTranspose2d(cg.zeros([4, 4, 6]), cg.zeros([3, 3, 2, 6])),
      message: 'convTranspose2d: input must have 4 dimensions [N, P, Q, C], got [4, 4, 6]',
    },
    {
      body: () => convTranspose2d(x, cg.zeros([3, 2, 6])),
      message: 'convTranspose2d: weight must have 4 dimensions [R, S, K / groups, C], got [3, 2, 6]',
    },
    {
      body: () => convTranspose2d(x, cg.zeros([3, 3, 6, 2])),
      message: 'convTranspose2d: weight [3, 3, 6, 2] wants 2 input channels, input [1, 4, 4, 6] has 6',
    },
    {
      body: () => convTranspose2d(x, cg.zeros([3, 3, 2, 6]), null, { groups: 4 }),
      message: 'convTranspose2d: weight [3, 3, 2, 6] has 6 input channels, which cannot be divided into 4 groups',
    },
    {
      body: () => convTranspose2d(x, cg.zeros([3, 3, 2, 6]), cg.zeros([6])),
      message: 'convTranspose2d: bias must have shape [2], one number an output channel, got [6]',
    },
    {
      body: () => convTranspose2d(x, cg.zeros([3, 3, 2, 6]), null, { padding: 4 }),
      message: 'convTranspose2d: the padding leaves nothing of the output: [1, -2, -2, 2]',
    },
    {
      body: () => convTranspose2d(x, cg.zeros([3, 3, 2, 6]), null, { outputPadding: 1 }),
      message:
        'convTranspose2d: outputPadding must be an integer from 0 to less than the stride or the dilation, got 1',
    },
    {
      body: () => convTranspose2d(x, cg.zeros([3, 3, 2, 6]), null, { stride: 0 }),
      message: 'conv2dBackwardInput: stride must be at least 1, got [0, 0]',
    },
  ])('refuses bad input: $message', ({ body, message }) => {
    expect(errorOf(body).message).toBe(message);
  });
});
