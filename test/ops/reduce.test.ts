import { describe, expect, it } from 'vitest';
import * as cg from '../../lib';
import { gradCheck, tensor, type Tensor } from '../../lib';
import { array64, reduceAxes } from '../reference/arrays';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { withThreadCounts } from '../support/isas';
import { TestData } from '../support/random';

const total = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const average = (values: readonly number[]) => total(values) / values.length;
const squaredDeviations = (values: readonly number[]) => {
  const mean = average(values);
  return total(values.map((v) => (v - mean) ** 2));
};
// Not Math.max(...values), whose arguments would overflow the stack.
const largest = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b));
const smallest = (values: readonly number[]) => values.reduce((a, b) => Math.min(a, b));

/** Rows, columns, both, a middle axis, gaps between the reduced axes; one-element axes; more than one task. */
const cases: [shape: number[], axes: number[]][] = [
  [[1], [0]],
  [[7], [0]],
  [[50, 1001], [1]],
  [[1001, 50], [0]],
  [[513, 3], [0]],
  [[5, 7, 11], [1]],
  [
    [5, 7, 11],
    [0, 2],
  ],
  [
    [5, 7, 11],
    [-1, -3],
  ],
  [
    [3, 19, 21, 13],
    [1, 2],
  ],
  [
    [3, 4, 5, 6],
    [0, 1, 2, 3],
  ],
  [
    [2, 3, 4, 5, 6],
    [1, 3],
  ],
  [
    [2, 3, 4, 5, 6],
    [0, 2, 4],
  ],
  [[4, 1, 6], [1]],
  [[100003], [0]],
  [[3, 70001], [1]],
  [[70001, 3], [0]],
  [[9, 1, 2100], [0]],
  [[2, 37, 1300], [1]],
];

interface Case {
  name: string;
  op: (x: Tensor, axes?: number | readonly number[], keepDims?: boolean) => Tensor;
  reference: (values: number[]) => number;
}
const functions: Case[] = [
  { name: 'sum', op: cg.sum, reference: total },
  { name: 'mean', op: cg.mean, reference: average },
  { name: 'max', op: cg.max, reference: largest },
  { name: 'min', op: cg.min, reference: smallest },
  {
    name: 'variance',
    op: (x, axes, keepDims) => cg.variance(x, axes, { keepDims }),
    reference: (values) => squaredDeviations(values) / values.length,
  },
  {
    name: 'std',
    op: (x, axes, keepDims) => cg.std(x, axes, { keepDims }),
    reference: (values) => Math.sqrt(squaredDeviations(values) / values.length),
  },
  { name: 'norm', op: cg.norm, reference: (values) => Math.sqrt(total(values.map((v) => v * v))) },
];

describe.each(functions)('$name', ({ name, op, reference }) => {
  const data = new TestData();
  const context = `seed ${data.seed}`;

  it.each(cases)('matches the float64 reference for %j over %j', (shape, axes) => {
    const x = data.tensor(shape, -1, 3);
    const resolved = axes.map((axis) => (axis < 0 ? axis + shape.length : axis));
    for (const keepDims of [false, true]) {
      const y = op(x, axes, keepDims);
      const expected = reduceAxes(reference, array64(x), resolved, keepDims);
      expect(y.shape).toEqual(expected.shape);
      expectClose(y, expected.data, { relative: 3e-7, absolute: 1e-7 }, context);
    }
  });

  it('reduces over all axes by default', () => {
    const x = data.tensor([5, 3, 7]);
    const y = op(x);
    expect(y.shape).toEqual([]);
    // A sum of terms of either sign may be much smaller than they are.
    expectClose(y, [reference(Array.from(x.dataSync()))], { relative: 6e-8, scale: x.size }, context);
    expect(op(x, undefined, true).shape).toEqual([1, 1, 1]);
    expectClose(op(cg.scalar(3)), [reference([3])]);
  });

  it.each([
    [[6], undefined],
    [[3, 4], [1]],
    [[3, 4], [0]],
    [
      [2, 3, 4],
      [0, 2],
    ],
    [[2, 3, 4], [1]],
  ])('has the gradient that finite differences show for %j over %j', (shape, axes) => {
    // Values far enough apart that a step of the differences does not change which one is the largest.
    const count = shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: count }, (_, i) => ((i * 7) % count) * 0.1 + 0.02 * data.next() - 0.4);
    for (const keepDims of [false, true]) gradCheck((x) => op(x, axes, keepDims), [tensor(values, shape)]);
  });

  it('gives the same numbers for any number of threads', () => {
    for (const [shape, axes] of [
      [[300001], [0]],
      [[40, 3000], [0]],
      [[3000, 40], [1]],
      [[30, 90, 40], [1]],
    ] as const) {
      const x = data.tensor(shape);
      const [one, ...others] = withThreadCounts(() => op(x, axes).dataSync());
      for (const other of others) expectExact(other, one!, context);
    }
  });

  it('is NaN where a value is', () => {
    const values = data.floats(200);
    values[120] = NaN;
    expect(op(tensor(values)).item()).toBeNaN();
    const rows = op(tensor(values, [2, 100]), 1).dataSync();
    expect([Number.isNaN(rows[0]!), Number.isNaN(rows[1]!)]).toEqual([false, true]);
    const columns = op(tensor(values, [20, 10]), 0).dataSync();
    expect(Array.from(columns, Number.isNaN)).toEqual(Array.from({ length: 10 }, (_, i) => i === 0));
  });

  it('names what is wrong with the axes', () => {
    const x = data.tensor([2, 3]);
    expect(errorOf(() => op(x, 2))).toMatchObject({
      code: 'ERR_VALUE',
      message: expect.stringContaining('axis must be in [-2, 1], got 2'),
    });
    expect(errorOf(() => op(x, [0, -2]))).toMatchObject({
      code: 'ERR_VALUE',
      message: expect.stringContaining('axis 0 is named twice'),
    });
    expect(errorOf(() => op(x, []))).toMatchObject({
      code: 'ERR_VALUE',
      message: expect.stringContaining('axes must not be empty'),
    });
    const bytes = tensor(new Uint8Array(6)) as unknown as Tensor;
    expect(
      errorOf(() => op(bytes)),
      name,
    ).toMatchObject({ code: 'ERR_DTYPE' });
  });
});

describe('sum', () => {
  it('is accurate over many values of one sign', () => {
    const x = cg.full([3_000_001], 0.1);
    expectClose(cg.sum(x), [3_000_001 * Math.fround(0.1)], { relative: 3e-7 });
  });

  it('is exact on integers', () => {
    const data = new TestData();
    for (const [shape, axes] of cases) {
      const x = tensor(
        data.integers(
          shape.reduce((a, b) => a * b, 1),
          -9,
          9,
        ),
        shape,
      );
      const resolved = axes.map((axis) => (axis < 0 ? axis + shape.length : axis));
      expectExact(cg.sum(x, axes), reduceAxes(total, array64(x), resolved, false).data, `seed ${data.seed}`);
    }
  });
});

describe.each([
  { name: 'sum', op: cg.sum, reference: total },
  { name: 'max', op: cg.max, reference: largest },
  { name: 'min', op: cg.min, reference: smallest },
])('$name of int32', ({ op, reference }) => {
  const data = new TestData();

  it.each(cases)('is exact for %j over %j', (shape, axes) => {
    const values = data.integers(
      shape.reduce((a, b) => a * b, 1),
      -100000,
      100000,
    );
    const x = tensor(Int32Array.from(values), shape);
    const resolved = axes.map((axis) => (axis < 0 ? axis + shape.length : axis));
    const y = op(x, axes);
    expect(y.dtype).toBe('int32');
    expectExact(y, reduceAxes(reference, array64(x), resolved, false).data, `seed ${data.seed}`);
  });
});

describe('variance', () => {
  it('does not cancel far away from 0', () => {
    const x = tensor(Float32Array.from({ length: 1001 }, (_, i) => 10000 + (i % 2)));
    expectClose(cg.variance(x), [0.25 * (1 - 1 / 1001 ** 2)], { relative: 1e-5 });
  });

  it('can be unbiased, which takes two values', () => {
    expectExact(cg.variance(tensor([1, 2, 3, 6]), 0, { unbiased: true }), [14 / 3].map(Math.fround));
    gradCheck((x) => cg.variance(x, 1, { unbiased: true }), [new TestData().tensor([3, 4])]);
    expect(errorOf(() => cg.variance(tensor([[1], [2]]), 1, { unbiased: true }))).toMatchObject({
      code: 'ERR_VALUE',
      message: expect.stringContaining('needs more than 1 value'),
    });
  });
});

describe('max and min', () => {
  it('share the gradient evenly among ties', () => {
    const x = tensor([
      [3, 1, 3],
      [0, 0, 0],
    ]);
    x.requiresGrad = true;
    cg.max(x, 1).backward({ gradient: tensor([4, 6]) });
    expectExact(x.grad!, [2, 0, 2, 2, 2, 2]);
  });

  it('know infinities', () => {
    expectExact(cg.max(tensor([-Infinity, -Infinity])), [-Infinity]);
    expectExact(cg.min(tensor([Infinity, Infinity])), [Infinity]);
  });
});

describe('std', () => {
  const x = new TestData().tensor([3, 4]);

  it.each([true, false])('is the root of the variance, and so is its gradient, unbiased: %s', (unbiased) => {
    expectClose(cg.std(x, 1, { unbiased }), [...cg.sqrt(cg.variance(x, 1, { unbiased })).dataSync()]);
    gradCheck((x) => cg.std(x, 1, { unbiased }), [x]);
    gradCheck((x) => cg.std(x, undefined, { unbiased, keepDims: true }), [x]);
  });
});

describe.each([
  { name: 'norm', op: cg.norm, shift: 0 },
  { name: 'std', op: cg.std, shift: 7 },
])('$name', ({ op, shift }) => {
  it('has gradient 0 at 0', () => {
    const x = cg.full([3], shift);
    x.requiresGrad = true;
    op(x).backward();
    expectExact(x.grad!, [0, 0, 0]);
  });
});

describe.each([
  { name: 'argMax', op: cg.argMax, better: (a: number, b: number) => a > b },
  { name: 'argMin', op: cg.argMin, better: (a: number, b: number) => a < b },
])('$name', ({ op, better }) => {
  const data = new TestData();
  const first = (values: number[]) => values.reduce((best, value, i) => (better(value, values[best]!) ? i : best), 0);

  it.each(cases.filter(([, axes]) => axes.length === 1))('matches the reference for %j along %j', (shape, [axis]) => {
    // Few different values, so that there are many ties.
    const x = tensor(
      data.integers(
        shape.reduce((a, b) => a * b, 1),
        -20,
        20,
      ),
      shape,
    );
    for (const keepDims of [false, true]) {
      const y = op(x, axis, keepDims);
      const expected = reduceAxes(first, array64(x), [axis!], keepDims);
      expect(y.shape).toEqual(expected.shape);
      expect(y.dtype).toBe('int32');
      expectExact(y, expected.data, `seed ${data.seed}`);
    }
  });

  it('takes the last axis by default, and the first NaN before all else', () => {
    expectExact(op(tensor([[1, NaN, 5, NaN], [4, 4, 4, 4]])), [1, 0]); // prettier-ignore
    const long = data.floats(1000);
    long[777] = NaN;
    long[990] = NaN;
    expectExact(op(tensor(long)), [777]);
    expectExact(op(tensor(long, [1000, 1]), 0), [777]);
  });

  it('gives the same numbers for any number of threads', () => {
    const x = data.tensor([300, 40, 30]);
    for (const axis of [0, 1, 2]) {
      const [one, ...others] = withThreadCounts(() => op(x, axis).dataSync());
      for (const other of others) expectExact(other, one!);
    }
  });
});
