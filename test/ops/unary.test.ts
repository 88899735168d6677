import { describe, expect, it } from 'vitest';
import * as cg from '../../lib';
import { gradCheck, tensor, type Tensor } from '../../lib';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { withThreadCounts } from '../support/isas';
import { TestData } from '../support/random';
import { erf } from '../reference/math';

interface Case {
  name: string;
  op: (x: Tensor) => Tensor;
  reference: (x: number) => number;
  /** Where random inputs come from. */
  low?: number;
  high?: number;
  /** Places where the derivative jumps: the gradient check keeps away from them. */
  kinks?: number[];
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);

const cases: Case[] = [
  { name: 'relu', op: cg.relu, reference: (x) => Math.max(x, 0), kinks: [0] },
  { name: 'relu6', op: cg.relu6, reference: (x) => clamp(x, 0, 6), low: -3, high: 9, kinks: [0, 6] },
  { name: 'leakyRelu', op: (x) => cg.leakyRelu(x, 0.2), reference: (x) => (x < 0 ? 0.2 * x : x), kinks: [0] },
  { name: 'sigmoid', op: cg.sigmoid, reference: sigmoid, low: -8, high: 8 },
  { name: 'tanh', op: cg.tanh, reference: Math.tanh, low: -4, high: 4 },
  { name: 'silu', op: cg.silu, reference: (x) => x * sigmoid(x), low: -6, high: 6 },
  {
    name: 'hardSilu',
    op: cg.hardSilu,
    reference: (x) => (x * clamp(x + 3, 0, 6)) / 6,
    low: -5,
    high: 5,
    kinks: [-3, 3],
  },
  {
    name: 'hardSigmoid',
    op: cg.hardSigmoid,
    reference: (x) => clamp(x + 3, 0, 6) / 6,
    low: -5,
    high: 5,
    kinks: [-3, 3],
  },
  { name: 'gelu', op: cg.gelu, reference: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)), low: -4, high: 4 },
  {
    name: 'gelu, tanh approximation',
    op: (x) => cg.gelu(x, { approximate: true }),
    reference: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    low: -4,
    high: 4,
  },
  {
    name: 'softplus',
    op: cg.softplus,
    reference: (x) => Math.log1p(Math.exp(-Math.abs(x))) + Math.max(x, 0),
    low: -6,
    high: 6,
  },
  {
    name: 'elu',
    op: (x) => cg.elu(x, 0.7),
    reference: (x) => (x < 0 ? 0.7 * Math.expm1(x) : x),
    low: -4,
    high: 4,
    kinks: [0],
  },
  { name: 'exp', op: cg.exp, reference: Math.exp, low: -3, high: 3 },
  { name: 'log', op: cg.log, reference: Math.log, low: 0.2, high: 5 },
  { name: 'sqrt', op: cg.sqrt, reference: Math.sqrt, low: 0.2, high: 5 },
  { name: 'rsqrt', op: cg.rsqrt, reference: (x) => 1 / Math.sqrt(x), low: 0.3, high: 5 },
  { name: 'square', op: cg.square, reference: (x) => x * x },
  { name: 'neg', op: cg.neg, reference: (x) => -x },
  { name: 'abs', op: cg.abs, reference: Math.abs, kinks: [0] },
  {
    name: 'clip',
    op: (x) => cg.clip(x, -0.4, 0.3),
    reference: (x) => clamp(x, Math.fround(-0.4), Math.fround(0.3)),
    kinks: [-0.4, 0.3],
  },
  { name: 'reciprocal', op: cg.reciprocal, reference: (x) => 1 / x, low: 0.3, high: 4 },
  { name: 'sign', op: cg.sign, reference: Math.sign, kinks: [0] },
];

describe.each(cases)('$name', ({ op, reference, low = -2, high = 2, kinks = [] }) => {
  const data = new TestData();
  const context = `seed ${data.seed}`;

  it.each([[1], [3], [7], [8], [17], [1000], [3, 5, 7], [70001]])(
    'matches the float64 reference, shape %j',
    (...shape) => {
      const x = data.tensor(shape, low, high);
      expectClose(op(x), Float64Array.from(x.dataSync(), reference), { relative: 2e-6, absolute: 1e-6 }, context);
    },
  );

  it('has the gradient that finite differences show', () => {
    const values = data
      .floats(23, low, high)
      .map((x) => (kinks.some((kink) => Math.abs(x - kink) < 0.03) ? x + 0.1 : x));
    gradCheck(op, [tensor(values)], { tolerance: 1e-2 });
  });

  it('gives the same numbers for any number of threads', () => {
    const x = data.tensor([50021], low, high);
    const [one, ...others] = withThreadCounts(() => op(x).dataSync());
    for (const other of others) expectExact(other, one!, context);
  });

  it('keeps NaN', () => {
    expect(op(tensor([NaN, 1])).dataSync()[0]).toBeNaN();
  });
});

describe('unary functions', () => {
  it('are exact on integers', () => {
    const x = tensor([-7, -1, 0, 1, 2, 9]);
    expectExact(cg.relu(x), [0, 0, 0, 1, 2, 9]);
    expectExact(cg.square(x), [49, 1, 0, 1, 4, 81]);
    expectExact(cg.sqrt(tensor([0, 1, 4, 9, 144])), [0, 1, 2, 3, 12]);
  });

  it('go to their limits', () => {
    expectExact(cg.exp(tensor([-Infinity, -200, 0, 100, Infinity])), [0, 0, 1, Infinity, Infinity]);
    expectExact(cg.log(tensor([0, 1, Infinity])), [-Infinity, 0, Infinity]);
    expect(cg.log(tensor([-1])).item()).toBeNaN();
    expectExact(cg.sigmoid(tensor([-Infinity, 0, Infinity])), [0, 0.5, 1]);
    expectExact(cg.tanh(tensor([-Infinity, 0, Infinity])), [-1, 0, 1]);
  });

  it('refuse other dtypes and disposed tensors', () => {
    const integers = tensor([1, 2], [2], 'int32') as unknown as Tensor;
    expect(errorOf(() => cg.relu(integers))).toMatchObject({
      code: 'ERR_DTYPE',
      message: 'relu: x must be float32, got int32',
    });
    const gone = tensor([1]);
    gone.dispose();
    expect(errorOf(() => cg.relu(gone))).toMatchObject({ code: 'ERR_DISPOSED' });
  });
});
