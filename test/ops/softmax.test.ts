import { describe, expect, it } from 'vitest';
import { gradCheck, logSoftmax, softmax, tensor, type Tensor } from '../../lib';
import { loadCases } from '../fixtures/load';
import * as reference from '../reference/softmax';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { expectGolden } from '../support/golden';
import { withThreadCounts } from '../support/isas';
import { TestData } from '../support/random';

interface Problem {
  shape: number[];
  axis: number;
}

const problems: Problem[] = [
  { shape: [10], axis: 0 },
  { shape: [7, 1], axis: 1 },
  { shape: [33, 10], axis: -1 },
  { shape: [5, 1000], axis: 1 },
  { shape: [3, 8], axis: 0 },
  { shape: [2, 5, 7], axis: 1 },
  { shape: [4, 21, 13, 3], axis: -3 },
  { shape: [6, 9, 301], axis: 0 },
];

describe.each(problems)('softmax of $shape over axis $axis', ({ shape, axis }) => {
  const data = new TestData();
  const context = `seed ${data.seed}`;
  const positive = (axis + shape.length) % shape.length;

  it.each(['softmax', 'logSoftmax'] as const)('%s matches the float64 reference, forward and backward', (name) => {
    const [op, row] = name === 'softmax' ? [softmax, reference.softmax] : [logSoftmax, reference.logSoftmax];
    const x = data.tensor(shape, -8, 8);
    x.requiresGrad = true;
    const dy = data.tensor(shape);
    const y = op(x, axis);
    expectClose(
      y,
      reference.alongAxis(x.dataSync(), shape, positive, (values) => row(values)),
      { relative: 2e-6 },
      context,
    );
    y.backward({ gradient: dy });
    const gradients = dy.dataSync();
    const expected = reference.alongAxis(x.dataSync(), shape, positive, (values, start, stride) => {
      const p = reference.softmax(values);
      const g = values.map((_, i) => gradients[start + i * stride]!);
      const sum = g.reduce((total, value, i) => total + value * (name === 'softmax' ? p[i]! : 1), 0);
      return g.map((value, i) => (name === 'softmax' ? p[i]! * (value - sum) : value - p[i]! * sum));
    });
    expectClose(x.grad!, expected, { relative: 5e-6, scale: 1 }, context);
  });

  it('gives the same numbers for any number of threads', () => {
    const x = data.tensor(shape);
    x.requiresGrad = true;
    const [one, ...others] = withThreadCounts(() => {
      x.grad = null;
      const y = softmax(x, axis);
      y.backward({ gradient: x });
      return [y, x.grad!].map((t) => t.dataSync());
    });
    for (const other of others) other.forEach((values, i) => expectExact(values, one![i]!, context));
  });
});

describe('softmax', () => {
  const data = new TestData();

  it('has the gradients that finite differences show', () => {
    for (const axis of [0, 1]) {
      gradCheck((x) => softmax(x, axis), [data.tensor([3, 4])]);
      gradCheck((x) => logSoftmax(x, axis), [data.tensor([3, 4])]);
    }
  });

  it('is exact where numbers are equal, and does not overflow', () => {
    expectExact(softmax(tensor([5, 5, 5, 5])), [0.25, 0.25, 0.25, 0.25]);
    expectExact(softmax(tensor([1000, -1000, 1000])), [0.5, 0, 0.5]);
    expectExact(softmax(tensor([3, -Infinity])), [1, 0]);
    expectExact(logSoftmax(tensor([1e30, 0])), [0, -1e30].map(Math.fround));
  });

  it.each([-1, 0])('makes a row with a NaN NaN, and no other (axis %i)', (axis) => {
    const values = axis === 0 ? [1, 2, NaN, 3, 1, 2] : [1, NaN, 3, 2, 1, 2];
    const shape = axis === 0 ? [3, 2] : [2, 3];
    const wanted = axis === 0 ? [0, 2, 4] : [0, 1, 2];
    for (const op of [softmax, logSoftmax]) {
      const y = [...op(tensor(values, shape), axis).dataSync()];
      expect(y.flatMap((value, i) => (Number.isNaN(value) ? [i] : []))).toEqual(wanted);
    }
  });

  it('refuses bad input', () => {
    expect(errorOf(() => softmax(tensor([1, 2]), 1))).toMatchObject({
      code: 'ERR_VALUE',
      message: 'softmax: axis must be in [-1, 0], got 1',
    });
    expect(errorOf(() => softmax(tensor([1], [1], 'int32') as unknown as Tensor))).toMatchObject({ code: 'ERR_DTYPE' });
    expect(errorOf(() => softmax(tensor(1)))).toMatchObject({ code: 'ERR_SHAPE' });
  });
});

describe('softmax as PyTorch', () => {
  const cases = [
    ...loadCases<{ axis: number }>('activation', 'softmax'),
    ...loadCases<{ axis: number }>('activation', 'logSoftmax'),
  ];
  it.each(cases)('$name', (golden) => {
    const op = golden.op === 'softmax' ? softmax : logSoftmax;
    expectGolden(golden as never, ({ input }) => op(input!, golden.config.axis));
  });
});
