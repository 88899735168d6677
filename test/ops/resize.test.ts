import { describe, expect, it } from 'vitest';
import { gradCheck, resizeBilinear, resizeNearest, tensor, type Tensor } from '../../lib';
import { loadCases } from '../fixtures/load';
import * as reference from '../reference/resize';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { expectGolden } from '../support/golden';
import { withThreadCounts } from '../support/isas';
import { TestData } from '../support/random';

type Shape = [number, number, number, number];
type Size = [number, number];

interface Variant {
  name: string;
  op: (x: Tensor<'float32' | 'uint8'>, size: Size) => Tensor;
  method: 'nearest' | 'bilinear';
  coordinates: reference.Coordinates;
}

const variants: Variant[] = [
  { name: 'nearest', op: (x, size) => resizeNearest(x, size), method: 'nearest', coordinates: 'halfPixel' },
  {
    name: 'nearest, asymmetric',
    op: (x, size) => resizeNearest(x, size, { coordinates: 'asymmetric' }),
    method: 'nearest',
    coordinates: 'asymmetric',
  },
  {
    name: 'nearest, aligned corners',
    op: (x, size) => resizeNearest(x, size, { coordinates: 'alignCorners' }),
    method: 'nearest',
    coordinates: 'alignCorners',
  },
  { name: 'bilinear', op: (x, size) => resizeBilinear(x, size), method: 'bilinear', coordinates: 'halfPixel' },
  {
    name: 'bilinear, aligned corners',
    op: (x, size) => resizeBilinear(x, size, { alignCorners: true }),
    method: 'bilinear',
    coordinates: 'alignCorners',
  },
];

const problems: [Shape, Size][] = [
  [
    [2, 3, 4, 3],
    [6, 8],
  ],
  [
    [1, 7, 5, 8],
    [3, 2],
  ],
  [
    [2, 5, 6, 19],
    [11, 4],
  ],
  [
    [1, 1, 1, 1],
    [3, 3],
  ],
  [
    [1, 9, 8, 5],
    [1, 1],
  ],
  [
    [3, 13, 17, 33],
    [13, 17],
  ],
  [
    [1, 32, 31, 3],
    [224, 20],
  ],
];

describe.each(variants)('resize $name', ({ op, method, coordinates }) => {
  const data = new TestData();
  const context = `seed ${data.seed}`;

  it.each(problems)('matches the float64 reference from %j to %j', (shape, size) => {
    const x = data.tensor(shape);
    x.requiresGrad = true;
    const dy = data.tensor([shape[0], ...size, shape[3]]);
    const expected = reference.resize({ shape, data: x.dataSync() }, size, method, coordinates, dy.dataSync());
    const y = op(x, size);
    expect(y.shape).toEqual(dy.shape);
    expectClose(y, expected.y, { relative: 1e-6, scale: 1 }, context);
    y.backward({ gradient: dy });
    // Each element of dx is a sum of about this many.
    const scale = Math.max(1, (size[0] * size[1]) / (shape[1] * shape[2]));
    expectClose(x.grad!, expected.dx, { relative: 1e-6, scale }, context);
  });

  it('takes bytes', () => {
    const shape: Shape = [2, 7, 9, 3];
    const bytes = Uint8Array.from({ length: 2 * 7 * 9 * 3 }, () => data.integer(0, 255));
    const y = op(tensor(bytes, shape), [5, 12]);
    expect(y.dtype).toBe('float32');
    expectExact(y, op(tensor(Float32Array.from(bytes), shape), [5, 12]).dataSync(), context);
  });

  it('has the gradient that finite differences show', () => {
    gradCheck((x) => op(x, [5, 2]), [data.tensor([1, 3, 4, 2])]);
  });

  it('gives the same numbers for any number of threads', () => {
    const x = data.tensor([3, 17, 19, 37]);
    x.requiresGrad = true;
    const [one, ...others] = withThreadCounts(() => {
      x.grad = null;
      const y = op(x, [23, 11]);
      y.backward({ gradient: y });
      return [y, x.grad!].map((t) => t.dataSync());
    });
    for (const other of others) other.forEach((values, i) => expectExact(values, one![i]!, context));
  });
});

describe('resize', () => {
  it('is exact on halves', () => {
    const x = tensor([0, 4, 8, 12], [1, 2, 2, 1]);
    expectExact(resizeNearest(x, [1, 4]), [8, 8, 12, 12]);
    expectExact(resizeBilinear(x, 1), [6]);
    expectExact(resizeBilinear(x, [2, 3], { alignCorners: true }), [0, 2, 4, 8, 10, 12]);
    expectExact(resizeBilinear(x, [2, 4]), [0, 1, 3, 4, 8, 9, 11, 12]);
  });

  it('keeps a NaN where it belongs', () => {
    const y = resizeBilinear(tensor([NaN, 1, 2, 3], [1, 1, 4, 1]), [1, 4]);
    expectExact(y, [NaN, 1, 2, 3]);
  });

  const x = tensor([1, 2, 3, 4], [1, 2, 2, 1]);
  it.each([
    [() => resizeBilinear(tensor([1, 2]), 3), 'ERR_SHAPE', /x must have 4 dimensions/],
    [() => resizeNearest(x, 0), 'ERR_VALUE', /height and width must be from 1 to 2\^30, got 0/],
    [() => resizeNearest(x, [1.5, 2]), 'ERR_VALUE', /integer/],
    [() => resizeNearest(x, 2 ** 25), 'ERR_SHAPE', /2\^40/],
    [() => resizeNearest(tensor([1], [1, 1, 1, 1], 'int32') as unknown as Tensor, 2), 'ERR_DTYPE', /got int32/],
    [
      () => resizeNearest(x, 2, { coordinates: 'centre' as 'halfPixel' }),
      'ERR_VALUE',
      /coordinates must be one of 'halfPixel'/,
    ],
  ] as [() => unknown, string, RegExp][])('refuses bad input %#', (body, code, message) => {
    const error = errorOf(body);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });
});

describe('resize as PyTorch', () => {
  it.each(loadCases<{ size: Size; alignCorners?: boolean }>('resize'))('$name', (golden) => {
    const { size, alignCorners = false } = golden.config;
    expectGolden(golden as never, ({ input }) =>
      golden.op === 'resizeNearest'
        ? resizeNearest(input!, size, { coordinates: 'asymmetric' })
        : resizeBilinear(input!, size, { alignCorners }),
    );
  });
});
