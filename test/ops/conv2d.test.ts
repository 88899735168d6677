import { describe, expect, it } from 'vitest';
import * as cg from '../../lib';
import { conv2d, conv2dBackwardInput, conv2dBackwardWeight, gradCheck, tensor, type Tensor } from '../../lib';
import type { ConvAlgorithm } from '../../lib/ops/conv2d';
import { depthwiseConvs, oddConvs, smallNetworkConvs, winogradConvs, type ConvProblem } from '../problems';
import {
  backwardInput,
  backwardWeight,
  forward,
  inputShape,
  outputShape,
  resolve,
  weightShape,
} from '../reference/conv2d';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { withThreadCounts } from '../support/isas';
import { TestData } from '../support/random';

const sizeOf = (shape: readonly number[]): number => shape.reduce((size, dim) => size * dim, 1);

/** Those that can do the problem. */
function algorithms(problem: ConvProblem): ConvAlgorithm[] {
  const all: ConvAlgorithm[] = ['auto', 'implicit_gemm', 'im2col', 'reference'];
  if (problem.groups === problem.c) all.push('direct');
  const { r, s, stride, dilation, groups } = problem;
  if ([r, s].every((taps) => taps === 3) && [...stride, ...dilation, groups].every((one) => one === 1)) {
    all.push('winograd');
  }
  return all;
}

/** Of a result, as a fraction of what random sums reach: Winograd convolution rounds more, see winograd.test.ts. */
const relative = (algorithm: ConvAlgorithm): number => (algorithm === 'winograd' || algorithm === 'auto' ? 5e-6 : 1e-6);

const options = ({ stride, padding, dilation, groups }: ConvProblem) => ({ stride, padding, dilation, groups });

describe.each([...oddConvs, ...winogradConvs, ...depthwiseConvs, ...smallNetworkConvs])('$name', (problem) => {
  const conv = resolve(problem);
  const [xShape, wShape, yShape] = [inputShape(conv), weightShape(conv), outputShape(conv)];
  const data = new TestData();
  const context = `seed ${data.seed}`;

  /** Forward and both gradients of one algorithm. */
  const passes = (
    x: Tensor,
    weight: Tensor,
    dy: Tensor,
    algorithm: ConvAlgorithm,
    precision?: cg.Precision,
  ): Float32Array[] =>
    cg.tidy(() => {
      const all = { ...options(problem), algorithm, precision };
      const results = [
        conv2d(x, weight, null, all),
        conv2dBackwardInput(dy, weight, xShape, all),
        conv2dBackwardWeight(x, dy, wShape, all),
      ];
      [yShape, xShape, wShape].forEach((shape, i) => expect(results[i]!.shape).toEqual(shape));
      return results.map((result) => result.dataSync());
    });

  const expected = (x: Float32Array, weight: Float32Array, dy: Float32Array): Float64Array[] => [
    forward(conv, x, weight),
    backwardInput(conv, dy, weight),
    backwardWeight(conv, x, dy),
  ];

  const names = ['forward', 'backward input', 'backward weight'];
  // So many products are summed in each pass, of numbers below 1.
  const terms = [
    (conv.r * conv.s * conv.c) / conv.groups,
    (conv.r * conv.s * conv.k) / conv.groups,
    conv.n * conv.p * conv.q,
  ];

  it('matches the float64 reference', () => {
    const [x, weight, dy] = [xShape, wShape, yShape].map((shape) => data.floats(sizeOf(shape))) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const wanted = expected(x, weight, dy);
    for (const algorithm of algorithms(problem)) {
      const results = passes(tensor(x, xShape), tensor(weight, wShape), tensor(dy, yShape), algorithm);
      results.forEach((result, i) => {
        const scale = Math.sqrt(terms[i]!) + 1;
        const tolerance = { relative: relative(algorithm), scale };
        expectClose(result, wanted[i]!, tolerance, `${algorithm} ${names[i]}, ${context}`);
      });
    }
  });

  // Winograd convolution is not: its transforms have fractions.
  it('is exact on integers', () => {
    const [x, weight, dy] = [xShape, wShape, yShape].map((shape) => data.integers(sizeOf(shape))) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const wanted = expected(x, weight, dy);
    for (const algorithm of algorithms(problem)) {
      if (algorithm === 'winograd') continue;
      const results = passes(tensor(x, xShape), tensor(weight, wShape), tensor(dy, yShape), algorithm, 'highest');
      results.forEach((result, i) => expectExact(result, wanted[i]!, `${algorithm} ${names[i]}, ${context}`));
    }
  });

  it('gives the same numbers for any number of threads', () => {
    const [x, weight, dy] = [data.tensor(xShape), data.tensor(wShape), data.tensor(yShape)];
    for (const algorithm of algorithms(problem)) {
      const [one, ...others] = withThreadCounts(() => passes(x, weight, dy, algorithm));
      for (const other of others) {
        other.forEach((result, i) => expectExact(result, one![i]!, `${algorithm} ${names[i]}, ${context}`));
      }
    }
  });

  it('adds bias and residual and applies the activation', () => {
    const [x, weight] = [data.floats(sizeOf(xShape)), data.floats(sizeOf(wShape))];
    const [bias, residual] = [data.floats(conv.k), data.floats(sizeOf(yShape))];
    const sums = forward(conv, x, weight, bias).map((sum, i) => sum + residual[i]!);
    const scale = Math.sqrt(terms[0]!) + 3;
    for (const algorithm of algorithms(problem)) {
      const compute = (activation: 'relu' | 'relu6' | 'tanh'): Tensor =>
        conv2d(tensor(x, xShape), tensor(weight, wShape), tensor(bias), {
          ...options(problem),
          algorithm,
          activation,
          residual: tensor(residual, yShape),
        });
      const relu = sums.map((sum) => Math.max(0, sum));
      const relu6 = relu.map((sum) => Math.min(6, sum));
      const tolerance = { relative: relative(algorithm), scale };
      expectClose(compute('relu'), relu, tolerance, `${algorithm}, ${context}`);
      expectClose(compute('relu6'), relu6, tolerance, `${algorithm}, ${context}`);
      expectClose(compute('tanh'), sums.map(Math.tanh), tolerance, `${algorithm}, ${context}`);
    }
  });
});

describe('gradients of conv2d', () => {
  const data = new TestData();
  const small = [...oddConvs, ...winogradConvs, ...depthwiseConvs].filter(
    (problem) => sizeOf(inputShape(problem)) <= 300 && sizeOf(weightShape(problem)) <= 300,
  );

  it.each(small)('are what finite differences show: $name', (problem) => {
    const [x, weight] = [data.tensor(inputShape(problem)), data.tensor(weightShape(problem))];
    const bias = data.tensor([problem.k]);
    for (const algorithm of algorithms(problem)) {
      if (algorithm === 'reference') continue;
      gradCheck((x, weight, bias) => conv2d(x, weight, bias, { ...options(problem), algorithm }), [x, weight, bias]);
    }
  });

  it.each(['relu', 'relu6', 'sigmoid', 'tanh', 'silu'] as const)('go through %s and a residual', (activation) => {
    // Away from the kinks of relu: integers and a half.
    const x = tensor(data.integers(2 * 4 * 4 * 2, -2, 2), [2, 4, 4, 2]);
    const weight = tensor(data.integers(2 * 2 * 2 * 3, -1, 1), [2, 2, 2, 3]);
    const [bias, residual] = [tensor([0.5, -0.5, 1.5]), tensor(data.integers(2 * 3 * 3 * 3), [2, 3, 3, 3])];
    const inputs: [Tensor, Tensor, Tensor, Tensor] = [x, weight, bias, residual];
    gradCheck((x, weight, bias, residual) => conv2d(x, weight, bias, { residual, activation }), inputs);
  });

  it('have gradients of their own', () => {
    const [x, weight] = [data.tensor([1, 5, 4, 2]), data.tensor([3, 2, 2, 3])];
    const all = { stride: 2, padding: 1 } as const;
    const dy = data.tensor(conv2d(x, weight, null, all).shape);
    gradCheck((dy, weight) => conv2dBackwardInput(dy, weight, [1, 5, 4, 2], all), [dy, weight]);
    gradCheck((x, dy) => conv2dBackwardWeight(x, dy, [3, 2, 2, 3], all), [x, dy]);
  });

  it('are computed only where they are needed', () => {
    const [x, weight, bias] = [data.tensor([1, 5, 5, 2]), data.tensor([3, 3, 2, 4]), data.tensor([4])];
    bias.requiresGrad = true;
    const y = conv2d(x, weight, bias, { activation: 'relu' });
    y.backward({ gradient: cg.ones(y.shape) });
    expect(bias.grad).not.toBeNull();
    expect(x.grad).toBeNull();
    expect(weight.grad).toBeNull();
  });

  it('leave no tensors behind', () => {
    const [x, weight, bias] = [data.tensor([2, 5, 5, 2]), data.tensor([3, 3, 2, 4]), data.tensor([4])];
    for (const leaf of [x, weight, bias]) leaf.requiresGrad = true;
    const before = cg.memory().tensors;
    cg.tidy(() => {
      const y = conv2d(x, weight, bias, { activation: 'tanh' });
      y.backward({ gradient: cg.ones(y.shape) });
    });
    expect(cg.memory().tensors).toBe(before + 3);
  });
});

describe('a depthwise output too large for the caches', () => {
  it('is the same as any other', () => {
    const data = new TestData();
    const shape = [2, 362, 362, 32]; // some more than 2^23 numbers
    const x = tensor(data.integers(sizeOf(shape), -3, 3), shape);
    const weight = tensor(data.integers(3 * 3 * 32, -2, 2), [3, 3, 1, 32]);
    const bias = tensor(data.integers(32), [32]);
    const all = { groups: 32, padding: 1, activation: 'relu6' } as const;
    const direct = conv2d(x, weight, bias, { ...all, algorithm: 'direct' });
    expectExact(direct, conv2d(x, weight, bias, { ...all, algorithm: 'im2col' }).dataSync(), `seed ${data.seed}`);
  });
});

describe('conv2d refuses bad input', () => {
  const x = cg.zeros([4, 32, 32, 3]);
  const weight = cg.zeros([3, 3, 3, 8]);
  it.each([
    {
      body: () => conv2d(x, cg.zeros([3, 3, 16, 32])),
      code: 'ERR_SHAPE',
      message: 'conv2d: weight [3, 3, 16, 32] wants 16 input channels, input [4, 32, 32, 3] has 3',
    },
    {
      body: () => conv2d(x, cg.zeros([3, 3, 2, 8]), null, { groups: 2 }),
      code: 'ERR_SHAPE',
      message: 'conv2d: weight [3, 3, 2, 8] in 2 groups wants 4 input channels, input [4, 32, 32, 3] has 3',
    },
    {
      body: () => conv2d(x, cg.zeros([3, 3, 1, 8]), null, { groups: 3 }),
      code: 'ERR_SHAPE',
      message: 'conv2d: weight [3, 3, 1, 8] has 8 output channels, which cannot be divided into 3 groups',
    },
    {
      body: () => conv2d(x, weight, null, { groups: 0 }),
      code: 'ERR_VALUE',
      message: 'conv2d: groups must be at least 1, got 0',
    },
    {
      body: () => conv2d(cg.zeros([32, 32, 3]), weight),
      code: 'ERR_SHAPE',
      message: 'conv2d: input must have 4 dimensions [N, H, W, C], got [32, 32, 3]',
    },
    {
      body: () => conv2d(x, cg.zeros([3, 3, 3])),
      code: 'ERR_SHAPE',
      message: 'conv2d: weight must have 4 dimensions [R, S, C / groups, K], got [3, 3, 3]',
    },
    {
      body: () => conv2d(cg.zeros([1, 2, 9, 3]), weight),
      code: 'ERR_SHAPE',
      message: "conv2d: the kernel's height, 3, is larger than the input's, 2",
    },
    {
      body: () => conv2d(cg.zeros([1, 9, 2, 3]), weight, null, { dilation: 2, padding: 1 }),
      code: 'ERR_SHAPE',
      message: "conv2d: the kernel's width, 5 with dilation, is larger than the input's, 4 with padding",
    },
    {
      body: () => conv2d(x, weight, null, { stride: 0 }),
      code: 'ERR_VALUE',
      message: 'conv2d: stride must be at least 1, got [0, 0]',
    },
    {
      body: () => conv2d(x, weight, null, { dilation: [1, -1] }),
      code: 'ERR_VALUE',
      message: 'conv2d: dilation must be at least 1, got [1, -1]',
    },
    {
      body: () => conv2d(x, weight, null, { stride: 1.5 }),
      code: 'ERR_VALUE',
      message: 'conv2d: stride must be an integer, got 1.5',
    },
    {
      body: () => conv2d(x, weight, null, { padding: -1 }),
      code: 'ERR_VALUE',
      message: 'conv2d: padding must not be negative, got [-1, -1, -1, -1] for top, bottom, left, right',
    },
    {
      body: () => conv2d(x, weight, null, { padding: 'full' as 'same' }),
      code: 'ERR_VALUE',
      message:
        "conv2d: padding must be 'valid', 'same', a number, [vertical, horizontal] or [[top, bottom], [left, right]], got \"full\"",
    },
    {
      body: () => conv2d(x, weight, cg.zeros([3])),
      code: 'ERR_SHAPE',
      message: 'conv2d: bias must have shape [8], one number an output channel, got [3]',
    },
    {
      body: () => conv2d(x, weight, null, { residual: cg.zeros([4, 32, 32, 8]) }),
      code: 'ERR_SHAPE',
      message: 'conv2d: residual must have shape [4, 30, 30, 8], got [4, 32, 32, 8]',
    },
    {
      body: () => conv2d(x, weight, null, { algorithm: 'direct' }),
      code: 'ERR_VALUE',
      message:
        "conv2d: algorithm 'direct' is for depthwise convolutions, where every input channel is a group of its own; here a group has 3",
    },
    {
      body: () => conv2d(x, weight, null, { algorithm: 'winograd', stride: 2 }),
      code: 'ERR_VALUE',
      message:
        "conv2d: algorithm 'winograd' is for kernels of 3 x 3 with stride 1, dilation 1 and one group; here weight is [3, 3, 3, 8], stride [2, 2], dilation [1, 1], groups 1",
    },
    {
      body: () => conv2d(x, weight, null, { precision: 'low' as 'high' }),
      code: 'ERR_VALUE',
      message: "conv2d: precision must be one of 'high', 'highest', got low",
    },
    {
      body: () => conv2d(cg.zeros([1, 5, 5, 3], 'uint8') as unknown as Tensor, weight),
      code: 'ERR_DTYPE',
      message: 'conv2d: input must be float32, got uint8',
    },
    {
      body: () => conv2dBackwardInput(cg.zeros([4, 32, 32, 8]), weight, x.shape),
      code: 'ERR_SHAPE',
      message: 'conv2dBackwardInput: dy must have shape [4, 30, 30, 8], got [4, 32, 32, 8]',
    },
    {
      body: () => conv2dBackwardWeight(x, cg.zeros([4, 30, 30, 8]), [3, 3, 3]),
      code: 'ERR_SHAPE',
      message: 'conv2dBackwardWeight: weightShape must have 4 dimensions [R, S, C / groups, K], got 3',
    },
  ])('$message', ({ body, code, message }) => {
    expect(errorOf(body)).toMatchObject({ code, message });
  });
});
