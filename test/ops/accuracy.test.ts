import { describe, expect, it } from 'vitest';
import * as cg from '../../lib';
import { tensor, type Tensor } from '../../lib';
import { erf } from '../reference/math';
import { TestData } from '../support/random';

const data = new TestData();
const context = `seed ${data.seed}`;

/** float32 values of every exponent and either sign: zeros, subnormals, infinities and NaN among them. */
function anyFloats(count: number): Float32Array {
  const bits = Uint32Array.from({ length: count }, () => Math.floor(data.next() * 2 ** 32));
  bits.set([
    0, 0x80000000, 1, 0x80000001, 0x7fffff, 0x800000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000,
  ]);
  return new Float32Array(bits.buffer);
}

/** The distance of neighbouring float32 numbers at x. */
function ulp(x: number): number {
  const magnitude = Math.abs(x);
  if (magnitude < 2 ** -126) return 2 ** -149;
  let exponent = Math.floor(Math.log2(magnitude));
  if (2 ** exponent > magnitude) exponent -= 1; // log2 rounds
  return 2 ** (Math.min(exponent, 127) - 23);
}

const sigmoid = (x: number) => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));
const pi = Math.PI;

/** `ulps`: the largest error allowed. `scale`: what it is measured at, where the result comes out of a cancellation. */
const cases: {
  name: string;
  op: (x: Tensor) => Tensor;
  reference: (x: number) => number;
  ulps: number;
  scale?: (x: number) => number;
  limit?: number;
}[] = [
  { name: 'exp', op: cg.exp, reference: Math.exp, ulps: 1.2 },
  { name: 'log', op: cg.log, reference: Math.log, ulps: 1 },
  { name: 'sigmoid', op: cg.sigmoid, reference: sigmoid, ulps: 3 },
  { name: 'tanh', op: cg.tanh, reference: Math.tanh, ulps: 1.5 },
  {
    name: 'softplus',
    op: cg.softplus,
    reference: (x) => (x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x))),
    ulps: 3,
  },
  { name: 'elu', op: cg.elu, reference: (x) => (x < 0 ? Math.expm1(x) : x), ulps: 3.6 },
  // Below -87 the sigmoid itself is subnormal.
  { name: 'silu', op: cg.silu, reference: (x) => (x === -Infinity ? NaN : x * sigmoid(x)), ulps: 4, limit: 87 },
  { name: 'sqrt', op: cg.sqrt, reference: Math.sqrt, ulps: 0.5 },
  { name: 'square', op: cg.square, reference: (x) => x * x, ulps: 0.5 },
  { name: 'reciprocal', op: cg.reciprocal, reference: (x) => 1 / x, ulps: 0.5 },
  { name: 'rsqrt', op: cg.rsqrt, reference: (x) => 1 / Math.sqrt(x), ulps: 1.5 },
  // 1 + erf cancels for negative x.
  {
    name: 'gelu',
    op: cg.gelu,
    reference: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
    ulps: 4,
    scale: (x) => x,
    limit: 20,
  },
  {
    name: 'gelu, tanh approximation',
    op: (x) => cg.gelu(x, { approximate: true }),
    reference: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / pi) * (x + 0.044715 * x ** 3))),
    ulps: 4,
    scale: (x) => x,
    limit: 20,
  },
];

describe('accuracy over the whole range', () => {
  it.each(cases.map((c) => [c.name, c] as const))('%s', (_, { op, reference, ulps, scale, limit }) => {
    const all = anyFloats(scale ? 1 << 14 : 1 << 17);
    const x = limit ? all.map((v) => (Math.abs(v) > limit ? v % limit : v)) : all;
    // Most exponents are far from where these functions bend: as many values there.
    const near = data.floats(x.length, -20, 20);
    for (const values of [x, near]) {
      const y = op(tensor(values)).dataSync();
      values.forEach((v, i) => {
        const [got, want] = [y[i]!, reference(v)];
        const rounded = Math.fround(want);
        if (got === rounded || (Number.isNaN(got) && Number.isNaN(rounded))) return;
        const error = Math.abs(got - want) / ulp(scale ? scale(v) : want);
        if (!(error <= ulps)) expect.fail(`${context}: f(${v}) is ${got}, wanted ${want}: off by ${error} ulp`);
      });
    }
  });
});
