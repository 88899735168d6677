import { describe, expect, it } from 'vitest';
import * as cg from '../../lib';
import { gradCheck, tensor, type Tensor } from '../../lib';
import { array64, elementwise } from '../reference/arrays';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { withThreadCounts } from '../support/isas';
import { TestData } from '../support/random';

type Shape = readonly number[];

/** Same shapes, scalars, a bias (long, short, shorter than a vector), leading and middle axes, both sides at once. */
const shapePairs: [Shape, Shape][] = [
  [[1], [1]],
  [[], [5]],
  [
    [3, 5, 7],
    [3, 5, 7],
  ],
  [[40001], [40001]],
  [[33, 65], [65]],
  [[65], [33, 65]],
  [[129, 37, 3], [3]],
  [[7, 6, 10], [10]],
  [
    [2, 17, 1, 5],
    [17, 4, 1],
  ],
  [
    [19, 1],
    [1, 23],
  ],
  [
    [4, 9, 11, 64],
    [4, 1, 1, 64],
  ],
  [
    [4, 9, 11, 5],
    [4, 1, 1, 5],
  ],
  [
    [300, 70],
    [300, 1],
  ],
  [
    [1300, 2],
    [1300, 1],
  ],
  [
    [2, 3, 2, 3, 2, 3, 2, 3],
    [3, 1, 3, 1, 3, 1, 3],
  ],
];

const arithmetic = [
  { name: 'add', op: cg.add, reference: (a: number, b: number) => a + b },
  { name: 'sub', op: cg.sub, reference: (a: number, b: number) => a - b },
  { name: 'mul', op: cg.mul, reference: (a: number, b: number) => a * b },
  { name: 'maximum', op: cg.maximum, reference: Math.max },
  { name: 'minimum', op: cg.minimum, reference: Math.min },
];
const functions: {
  name: string;
  op: (a: Tensor | number, b: Tensor | number) => Tensor;
  reference: (a: number, b: number) => number;
}[] = [
  ...arithmetic,
  { name: 'div', op: cg.div, reference: (a, b) => a / b },
  { name: 'pow', op: cg.pow, reference: Math.pow },
];
const comparisons = [
  { name: 'equal', op: cg.equal, reference: (a: number, b: number) => a === b },
  { name: 'notEqual', op: cg.notEqual, reference: (a: number, b: number) => a !== b },
  { name: 'greater', op: cg.greater, reference: (a: number, b: number) => a > b },
  { name: 'greaterEqual', op: cg.greaterEqual, reference: (a: number, b: number) => a >= b },
  { name: 'less', op: cg.less, reference: (a: number, b: number) => a < b },
  { name: 'lessEqual', op: cg.lessEqual, reference: (a: number, b: number) => a <= b },
];

describe.each(functions)('$name', ({ op, reference }) => {
  const data = new TestData();
  const context = `seed ${data.seed}`;

  it.each(shapePairs)('matches the float64 reference for %j and %j', (shapeA, shapeB) => {
    const [a, b] = [data.tensor(shapeA, 0.3, 2), data.tensor(shapeB, 0.3, 2)];
    const y = op(a, b);
    const expected = elementwise(reference, array64(a), array64(b));
    expect(y.shape).toEqual(expected.shape);
    expectClose(y, expected.data, { relative: 2e-7 }, context);
  });

  it('takes a number on either side', () => {
    const x = data.tensor([5, 21], 0.3, 2);
    expectClose(
      op(x, 1.5),
      array64(x).data.map((v) => reference(v, 1.5)),
      { relative: 2e-7 },
      context,
    );
    expectClose(
      op(1.5, x),
      array64(x).data.map((v) => reference(1.5, v)),
      { relative: 2e-7 },
      context,
    );
  });

  it.each([
    [
      [3, 4],
      [3, 4],
    ],
    [[2, 3, 5], [5]],
    [[4], [3, 4]],
    [
      [3, 1],
      [1, 4],
    ],
    [
      [2, 1, 3],
      [4, 1],
    ],
    [[], [7]],
  ])('has the gradients that finite differences show for %j and %j', (shapeA, shapeB) => {
    // Apart, so that no step of the differences changes which one is larger.
    const a = cg.tensor(data.floats(size(shapeA), 0.5, 0.9), shapeA);
    const b = cg.tensor(data.floats(size(shapeB), 1.1, 1.9), shapeB);
    gradCheck(op, [a, b]);
    gradCheck(op, [b, a]);
    gradCheck((x) => op(x, 1), [a]);
    gradCheck((x) => op(1, x), [b]);
  });

  it('gives the same numbers for any number of threads', () => {
    const [a, b] = [data.tensor([301, 7, 33], 0.3, 2), data.tensor([7, 33], 0.3, 2)];
    const [one, ...others] = withThreadCounts(() => op(a, b).dataSync());
    for (const other of others) expectExact(other, one!, context);
  });

  it('keeps NaN from either side', () => {
    const nan = tensor([NaN, 2, NaN]);
    const other = tensor([3, NaN, NaN]);
    expectExact(op(nan, other), [NaN, NaN, NaN]);
  });

  it('names what does not fit', () => {
    expect(errorOf(() => op(tensor([1, 2, 3]), tensor([1, 2])))).toMatchObject({
      code: 'ERR_SHAPE',
      message: expect.stringContaining('shapes [3] and [2] do not broadcast: axis 0 has sizes 3 and 2'),
    });
    expect(errorOf(() => op(1, 2))).toMatchObject({ code: 'ERR_VALUE' });
    const integers = tensor(new Int32Array([1])) as unknown as Tensor;
    expect(errorOf(() => op(tensor([1]), integers))).toMatchObject({
      code: 'ERR_DTYPE',
      message: expect.stringContaining('a is float32 and b is int32'),
    });
  });
});

const size = (shape: Shape): number => shape.reduce((a, b) => a * b, 1);

describe.each(arithmetic)('$name of int32', ({ op, reference }) => {
  const data = new TestData();

  it.each(shapePairs)('is exact for %j and %j', (shapeA, shapeB) => {
    const a = tensor(Int32Array.from(data.integers(size(shapeA), -1000, 1000)), shapeA);
    const b = tensor(Int32Array.from(data.integers(size(shapeB), -1000, 1000)), shapeB);
    const y = op(a, b);
    expect(y.dtype).toBe('int32');
    expectExact(y, elementwise(reference, array64(a), array64(b)).data, `seed ${data.seed}`);
  });

  it('takes a number, which must be an integer', () => {
    const x = tensor(new Int32Array([-3, 0, 9]));
    expectExact(
      op(x, 4),
      [-3, 0, 9].map((v) => reference(v, 4)),
    );
    expect(errorOf(() => op(x, 0.5))).toMatchObject({
      code: 'ERR_VALUE',
      message: expect.stringContaining('0.5 is no int32; cast the tensor to float32 first'),
    });
  });
});

describe('int32 arithmetic', () => {
  it('wraps around', () => {
    const large = tensor(new Int32Array([2 ** 31 - 1, -(2 ** 31), 2 ** 20]));
    expectExact(cg.add(large, tensor(new Int32Array([1, -1, 0]))), [-(2 ** 31), 2 ** 31 - 1, 2 ** 20]);
    expectExact(cg.mul(large, large), [1, 0, 0]);
  });

  it('has no division', () => {
    const x = tensor(new Int32Array([1])) as unknown as Tensor;
    expect(errorOf(() => cg.div(x, x))).toMatchObject({
      code: 'ERR_DTYPE',
      message: 'div: operands must be float32, got int32',
    });
  });
});

describe('pow', () => {
  it('follows IEEE 754 at the edges', () => {
    const values = [0, -0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, 1e30, -1e30, 1e-40, Infinity, -Infinity, NaN];
    const exponents = [...values, 2.5, -2.5, 7, 1 / 3, 2 ** 24, 2 ** 24 + 2, 1e10];
    for (const b of exponents) {
      const [as, bs] = [Float32Array.from(values), Math.fround(b)];
      // JavaScript says NaN for 1 ** ±Infinity and 1 ** NaN, where IEEE 754 and every other language say 1.
      const expected = as.map((a) => (a === 1 ? 1 : a === -1 && Math.abs(bs) === Infinity ? 1 : a ** bs));
      const actual = cg.pow(tensor(as), bs).dataSync();
      values.forEach((a, i) => {
        const [got, want] = [actual[i]!, expected[i]!];
        const close = Object.is(got, want) || Math.abs(got - want) <= 1.2e-7 * Math.abs(want) + 1.5e-45;
        expect(close, `pow(${a}, ${b}) is ${got}, wanted ${want}`).toBe(true);
      });
    }
  });

  it('is within one unit in the last place', () => {
    const data = new TestData();
    const [a, b] = [data.tensor([20000], 0, 30), data.tensor([20000], -25, 25)];
    const y = cg.pow(a, b).dataSync();
    const [as, bs] = [a.dataSync(), b.dataSync()];
    y.forEach((value, i) => {
      const exact = as[i]! ** bs[i]!;
      const ulp = Math.max(2 ** (Math.floor(Math.log2(exact)) - 23), 2 ** -149);
      const ok = value === Math.fround(exact) || Math.abs(value - exact) <= ulp;
      if (!ok) expect.fail(`seed ${data.seed}: pow(${as[i]}, ${bs[i]}) is ${value}, wanted ${exact}`);
    });
  });

  it('has gradient 0 at a base of 0 where the function is flat', () => {
    const x = tensor([0, 0, 2]);
    x.requiresGrad = true;
    cg.pow(x, 2).backward({ gradient: cg.ones([3]) });
    expectExact(x.grad!, [0, 0, 4]);
  });
});

describe('maximum and minimum', () => {
  it('split the gradient where both are equal', () => {
    for (const op of [cg.maximum, cg.minimum]) {
      const [a, b] = [tensor([2, 5]), tensor([2, 5])];
      a.requiresGrad = b.requiresGrad = true;
      op(a, b).backward({ gradient: tensor([4, 6]) });
      expectExact(a.grad!, [2, 3]);
      expectExact(b.grad!, [2, 3]);
    }
  });
});

describe.each(comparisons)('$name', ({ op, reference }) => {
  const data = new TestData();
  const context = `seed ${data.seed}`;

  it.each(shapePairs)('is exact for %j and %j, in every dtype', (shapeA, shapeB) => {
    for (const make of [Float32Array, Int32Array, Uint8Array]) {
      const [a, b] = [shapeA, shapeB].map((shape) => tensor(make.from(data.integers(size(shape), 0, 3)), shape));
      const y = op(a! as Tensor, b! as Tensor);
      expect(y.dtype).toBe('uint8');
      expectExact(y, elementwise((p, q) => Number(reference(p, q)), array64(a!), array64(b!)).data, context);
    }
  });

  it('takes a number on either side, and knows NaN', () => {
    const x = tensor([1, 2, 3, NaN]);
    expectExact(
      op(x, 2),
      [1, 2, 3, NaN].map((v) => Number(reference(v, 2))),
    );
    expectExact(
      op(2, x),
      [1, 2, 3, NaN].map((v) => Number(reference(2, v))),
    );
  });
});

describe('where', () => {
  const data = new TestData();
  const context = `seed ${data.seed}`;
  const mask = (shape: Shape) => tensor(Uint8Array.from(data.integers(size(shape), 0, 2)), shape);

  it.each<[Shape, Shape, Shape]>([
    [[5], [5], [5]],
    [[70001], [70001], [70001]],
    [
      [4, 1],
      [1, 6],
      [4, 6],
    ],
    [[3], [2, 5, 3], []],
    [[200, 3, 5], [5], [3, 1]],
    [[], [3, 40], [40]],
  ])('selects by %j between %j and %j', (c, shapeA, shapeB) => {
    for (const make of [Float32Array, Int32Array, Uint8Array]) {
      const condition = mask(c);
      const [a, b] = [shapeA, shapeB].map((shape) => tensor(make.from(data.integers(size(shape), 0, 200)), shape));
      const y = cg.where(condition, a! as Tensor, b! as Tensor);
      const expected = elementwise((k, p, q) => (k ? p : q), array64(condition), array64(a!), array64(b!));
      expect(y.shape).toEqual(expected.shape);
      expectExact(y, expected.data, context);
    }
  });

  it('takes numbers, and keeps what it does not select out of the result', () => {
    const condition = tensor(new Uint8Array([1, 0]));
    expectExact(cg.where(condition, tensor([7, NaN]), -1), [7, -1]);
    expectExact(cg.where(condition, 0.5, tensor([NaN, 3])), [0.5, 3]);
  });

  it('has the gradients that finite differences show', () => {
    const condition = mask([4, 5]);
    gradCheck((a, b) => cg.where(condition, a, b), [data.tensor([5]), data.tensor([4, 1])]);
  });

  it('wants a uint8 condition', () => {
    expect(errorOf(() => cg.where(tensor([1]) as unknown as Tensor<'uint8'>, tensor([1]), 0))).toMatchObject({
      code: 'ERR_DTYPE',
      message: 'where: condition must be uint8, got float32',
    });
  });
});
