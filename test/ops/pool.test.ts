import { describe, expect, it } from 'vitest';
import {
  adaptiveAvgPool2d,
  adaptiveMaxPool2d,
  avgPool2d,
  globalAvgPool2d,
  globalMaxPool2d,
  gradCheck,
  maxPool2d,
  maxPool2dWithIndices,
  tensor,
  type AvgPoolOptions,
  type Padding2d,
  type Tensor,
} from '../../lib';
import { loadCases } from '../fixtures/load';
import * as reference from '../reference/pool';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { expectGolden } from '../support/golden';
import { withThreadCounts } from '../support/isas';
import { TestData } from '../support/random';

type Shape = [number, number, number, number];

interface Problem extends Omit<AvgPoolOptions, 'poolSize' | 'stride' | 'padding'> {
  shape: Shape;
  poolSize: [number, number];
  stride: [number, number];
  padding: 'valid' | 'same' | [[number, number], [number, number]];
}

function problem(
  shape: Shape,
  poolSize: [number, number],
  stride: [number, number],
  padding: Problem['padding'] = 'valid',
  options: Partial<Problem> = {},
): Problem {
  return { shape, poolSize, stride, padding, ceilMode: false, ...options };
}

const problems: Problem[] = [
  problem([2, 4, 6, 8], [2, 2], [2, 2]),
  problem([3, 5, 7, 3], [2, 2], [2, 2]),
  problem([1, 2, 2, 1], [2, 2], [2, 2]),
  problem([2, 9, 11, 19], [2, 2], [2, 2], 'valid', { ceilMode: true }),
  problem(
    [2, 9, 8, 33],
    [3, 3],
    [2, 2],
    [
      [1, 1],
      [1, 1],
    ],
  ),
  problem(
    [1, 10, 7, 5],
    [3, 2],
    [2, 3],
    [
      [2, 0],
      [0, 1],
    ],
    { ceilMode: true },
  ),
  problem(
    [1, 5, 3, 2],
    [2, 2],
    [3, 3],
    [
      [1, 1],
      [1, 1],
    ],
    { ceilMode: true },
  ),
  problem([2, 7, 5, 17], [3, 4], [1, 2], 'same'),
  problem([1, 13, 9, 4], [2, 3], [2, 2], 'same'),
  problem([1, 7, 8, 2], [2, 2], [3, 4]),
  problem([1, 1, 1, 130], [1, 1], [1, 1]),
  problem([1, 6, 5, 300], [5, 5], [1, 1]),
  problem(
    [2, 6, 7, 9],
    [3, 3],
    [2, 2],
    [
      [1, 2],
      [2, 0],
    ],
    { countIncludePad: false },
  ),
  problem(
    [2, 6, 7, 9],
    [3, 3],
    [2, 2],
    [
      [1, 1],
      [1, 1],
    ],
    { ceilMode: true, divisorOverride: 7 },
  ),
];

function axes({ shape, poolSize, stride, padding, ceilMode }: Problem): [reference.Axis, reference.Axis] {
  const of = (axis: 0 | 1): reference.Axis => {
    const input = shape[axis + 1]!;
    if (padding === 'same') return reference.sameAxis(input, poolSize[axis], stride[axis]);
    const sides = padding === 'valid' ? ([0, 0] as const) : padding[axis];
    return reference.stridedAxis(input, poolSize[axis], stride[axis], sides, ceilMode);
  };
  return [of(0), of(1)];
}

/** The gradient of Σ y · dy with respect to x. */
function gradientOf(op: (x: Tensor) => Tensor, x: Tensor, dy: Tensor): Tensor {
  const leaf = x.detach();
  leaf.requiresGrad = true;
  op(leaf).backward({ gradient: dy });
  return leaf.grad!;
}

describe.each(problems.map((p) => ({ p, name: JSON.stringify(p) })))('pooling $name', ({ p }) => {
  const data = new TestData();
  const context = `seed ${data.seed}`;
  const [rows, columns] = axes(p);
  const [N, H, W, C] = p.shape;
  const outShape = [N, rows.length, columns.length, C];
  const outSize = outShape.reduce((a, b) => a * b, 1);

  it('takes the maxima, says where they are, and sends gradients back there', () => {
    // Integers have ties, which go to the first; half of the values are those.
    for (const values of [data.floats(N * H * W * C), data.integers(N * H * W * C)]) {
      const x = tensor(values, p.shape);
      const dy = tensor(data.integers(outSize), outShape);
      const expected = reference.maxPool({ shape: p.shape, data: values }, rows, columns, dy.dataSync());
      const [y, indices] = maxPool2dWithIndices(x, p);
      expect(y.shape).toEqual(outShape);
      expectExact(y, expected.values, context);
      expectExact(indices, expected.indices, context);
      expectExact(maxPool2d(x, p), expected.values, context);
      expectExact(
        gradientOf((x) => maxPool2d(x, p), x, dy),
        expected.dx,
        context,
      );
    }
  });

  it('averages, and spreads gradients', () => {
    const x = data.tensor(p.shape);
    const dy = data.tensor(outShape);
    const countPadding = p.countIncludePad ?? p.padding !== 'same';
    const expected = reference.avgPool(
      { shape: p.shape, data: x.dataSync() },
      rows,
      columns,
      countPadding,
      dy.dataSync(),
      p.divisorOverride,
    );
    const y = avgPool2d(x, p);
    expect(y.shape).toEqual(outShape);
    expectClose(y, expected.y, { relative: 2e-6, scale: 1 }, context);
    expectClose(
      gradientOf((x) => avgPool2d(x, p), x, dy),
      expected.dx,
      { relative: 2e-6, scale: 1 },
      context,
    );
  });

  it('gives the same numbers for any number of threads', () => {
    const x = data.tensor(p.shape);
    const dy = data.tensor(outShape);
    const [one, ...others] = withThreadCounts(() =>
      [maxPool2d(x, p), gradientOf((x) => maxPool2d(x, p), x, dy), gradientOf((x) => avgPool2d(x, p), x, dy)].map((t) =>
        t.dataSync(),
      ),
    );
    for (const other of others) other.forEach((values, i) => expectExact(values, one![i]!, context));
  });
});

describe.each([
  [
    [2, 7, 5, 3],
    [3, 2],
  ],
  [
    [1, 3, 4, 9],
    [5, 6],
  ],
  [
    [2, 8, 8, 64],
    [1, 1],
  ],
  [
    [1, 19, 17, 200],
    [4, 1],
  ],
] as [Shape, [number, number]][])('adaptive pooling of %j to %j', (shape, size) => {
  const data = new TestData();
  const context = `seed ${data.seed}`;
  const rows = reference.adaptiveAxis(shape[1], size[0]);
  const columns = reference.adaptiveAxis(shape[2], size[1]);
  const outShape = [shape[0], ...size, shape[3]];

  it('matches the float64 reference, forward and backward', () => {
    const x = data.tensor(shape);
    const dy = data.tensor(outShape);
    const image = { shape, data: x.dataSync() };
    const avg = reference.avgPool(image, rows, columns, false, dy.dataSync());
    expectClose(adaptiveAvgPool2d(x, size), avg.y, { relative: 2e-6, scale: 1 }, context);
    expectClose(
      gradientOf((x) => adaptiveAvgPool2d(x, size), x, dy),
      avg.dx,
      { relative: 2e-6, scale: 1 },
      context,
    );
    const max = reference.maxPool(image, rows, columns, dy.dataSync());
    expectExact(adaptiveMaxPool2d(x, size), max.values, context);
    expectClose(
      gradientOf((x) => adaptiveMaxPool2d(x, size), x, dy),
      max.dx,
      { relative: 2e-6, scale: 1 },
      context,
    );
  });
});

describe('pooling', () => {
  const data = new TestData();

  it('has the gradients that finite differences show', () => {
    // Values far enough apart that no step of the check makes another one the maximum.
    const distinct = Float32Array.from({ length: 5 * 6 * 3 }, (_, i) => ((i * 37) % 90) / 10);
    const x = tensor(distinct, [1, 5, 6, 3]);
    const options = { poolSize: [3, 2], stride: [2, 1], padding: 1 } as const;
    gradCheck((x) => maxPool2d(x, options), [x]);
    gradCheck((x) => avgPool2d(x, options), [x]);
    gradCheck((x) => adaptiveAvgPool2d(x, [2, 4]), [x]);
    gradCheck((x) => adaptiveMaxPool2d(x, [2, 4]), [x]);
    gradCheck((x) => globalAvgPool2d(x), [x]);
    gradCheck((x) => globalMaxPool2d(x, { keepDims: true }), [x]);
  });

  it('reduces whole images', () => {
    const x = tensor(data.integers(2 * 4 * 8 * 5), [2, 4, 8, 5]);
    const y = globalAvgPool2d(x);
    expect(y.shape).toEqual([2, 5]);
    const all = { rows: [{ begin: 0, end: 4 }], columns: [{ begin: 0, end: 8 }] };
    const image = { shape: [2, 4, 8, 5] as const, data: x.dataSync() };
    expectExact(y, reference.avgPool(image, all.rows, all.columns, false).y);
    expect(globalMaxPool2d(x).shape).toEqual([2, 5]);
    expectExact(globalMaxPool2d(x), reference.maxPool(image, all.rows, all.columns).values);
    expect(globalMaxPool2d(x, { keepDims: true }).shape).toEqual([2, 1, 1, 5]);
    expect(globalAvgPool2d(x, { keepDims: true }).shape).toEqual([2, 1, 1, 5]);
  });

  it('lets NaN win, and sends it no gradient but its own', () => {
    const x = tensor([1, NaN, 3, 4, 5, 6, 7, 8], [1, 2, 4, 1]);
    const [values, indices] = maxPool2dWithIndices(x, { poolSize: 2 });
    expectExact(values, [NaN, 8]);
    expectExact(indices, [1, 7]);
    expectExact(maxPool2d(x, { poolSize: 2 }), [NaN, 8]);
    expectExact(avgPool2d(x, { poolSize: 2 }), [NaN, 5.5]);
    const infinite = tensor([-Infinity, -Infinity, -Infinity, -Infinity], [1, 2, 2, 1]);
    expectExact(maxPool2dWithIndices(infinite, { poolSize: 2 })[1], [0]);
  });

  it('defaults to windows side by side, without padding', () => {
    const x = data.tensor([1, 6, 7, 2]);
    expectExact(
      maxPool2d(x, { poolSize: 3 }),
      maxPool2d(x, { poolSize: [3, 3], stride: [3, 3], padding: 0 }).dataSync(),
    );
    const asymmetric: Padding2d = [
      [1, 1],
      [2, 2],
    ];
    expectExact(
      avgPool2d(x, { poolSize: 3, padding: [1, 2] }),
      avgPool2d(x, { poolSize: 3, padding: asymmetric }).dataSync(),
    );
  });

  it.each([
    [
      () => maxPool2d(tensor([1, 2, 3]), { poolSize: 2 }),
      'ERR_SHAPE',
      /maxPool2d: x must have 4 dimensions .*got \[3\]/,
    ],
    [
      () => maxPool2d(tensor([1], [1, 1, 1, 1], 'int32') as unknown as Tensor, { poolSize: 1 }),
      'ERR_DTYPE',
      /float32, got int32/,
    ],
    [() => avgPool2d(data.tensor([1, 3, 5, 1]), { poolSize: 4 }), 'ERR_SHAPE', /window of 4x4 does not fit .* 3x5/],
    [() => maxPool2d(data.tensor([1, 3, 5, 1]), { poolSize: 2, stride: 0 }), 'ERR_VALUE', /stride .* got \[0, 0\]/],
    [() => maxPool2d(data.tensor([1, 3, 5, 1]), { poolSize: 0 }), 'ERR_VALUE', /poolSize .* got \[0, 0\]/],
    [
      () => maxPool2d(data.tensor([1, 3, 5, 1]), { poolSize: 2, padding: 2 }),
      'ERR_VALUE',
      /padding .*smaller than the window \(2x2\), got \[2, 2, 2, 2\]/,
    ],
    [() => maxPool2d(data.tensor([1, 3, 5, 1]), { poolSize: 2, padding: -1 }), 'ERR_VALUE', /padding/],
    [
      () => maxPool2d(data.tensor([1, 3, 5, 1]), { poolSize: 2, padding: 'full' as 'same' }),
      'ERR_VALUE',
      /padding must be 'valid'.*got "full"/,
    ],
    [
      () => maxPool2d(data.tensor([1, 3, 5, 1]), { poolSize: [2] as unknown as [number, number] }),
      'ERR_VALUE',
      /poolSize must be a number or \[vertical, horizontal\], got \[2\]/,
    ],
    [() => maxPool2d(data.tensor([1, 3, 5, 1]), { poolSize: 1.5 }), 'ERR_VALUE', /integer/],
    [() => adaptiveAvgPool2d(data.tensor([1, 3, 5, 1]), [0, 2]), 'ERR_VALUE', /outputSize .* got \[0, 2\]/],
    [() => adaptiveAvgPool2d(data.tensor([1, 3, 5, 1]), 2 ** 29), 'ERR_SHAPE', /2\^40/],
    [() => avgPool2d(data.tensor([1, 3, 5, 1]), { poolSize: 2, divisorOverride: 0 }), 'ERR_VALUE', /divisorOverride/],
  ] as [() => unknown, string, RegExp][])('refuses bad input %#', (body, code, message) => {
    const error = errorOf(body);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });
});

interface GoldenPool {
  kernelSize: [number, number];
  stride: [number, number];
  padding: Padding2d;
  ceilMode: boolean;
  countIncludePad?: boolean;
  divisorOverride?: number | null;
  outputSize: [number, number];
}

describe('pooling as PyTorch', () => {
  it.each(loadCases<GoldenPool>('pool'))('$name', (golden) => {
    const { kernelSize, divisorOverride, outputSize, ...options } = golden.config;
    const pool = { ...options, poolSize: kernelSize, ...(divisorOverride ? { divisorOverride } : {}) };
    const ops: Record<string, (x: Tensor) => Tensor> = {
      maxPool2d: (x) => maxPool2d(x, pool),
      avgPool2d: (x) => avgPool2d(x, pool),
      adaptiveAvgPool2d: (x) => adaptiveAvgPool2d(x, outputSize),
      adaptiveMaxPool2d: (x) => adaptiveMaxPool2d(x, outputSize),
    };
    expectGolden(golden as never, ({ input }) => ops[golden.op]!(input!));
  });
});
