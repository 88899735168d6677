import { describe, expect, it } from 'vitest';
import * as cg from '../../lib';
import { gradCheck, linear, matmul, tensor, type Tensor } from '../../lib';
import { oddMatmuls } from '../problems';
import { matmul as reference, transpose } from '../reference/matmul';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { withThreadCounts } from '../support/isas';
import { TestData } from '../support/random';

const transposes = [
  { transposeA: false, transposeB: false },
  { transposeA: true, transposeB: false },
  { transposeA: false, transposeB: true },
  { transposeA: true, transposeB: true },
];

function stored(values: Float32Array, rows: number, columns: number, transposed: boolean): Tensor {
  return transposed
    ? tensor(Float32Array.from(transpose(values, rows, columns)), [columns, rows])
    : tensor(values, [rows, columns]);
}

describe.each(oddMatmuls)('matmul $name', ({ m, k, n }) => {
  const data = new TestData();
  const context = `seed ${data.seed}`;

  it.each(transposes)('matches the float64 reference, %j', (options) => {
    const [a, b] = [data.floats(m * k), data.floats(k * n)];
    const y = matmul(stored(a, m, k, options.transposeA), stored(b, k, n, options.transposeB), options);
    expect(y.shape).toEqual([m, n]);
    // Products of numbers below 1, k of them.
    expectClose(y, reference(a, b, m, k, n), { relative: 1e-6, scale: Math.sqrt(k) + 1 }, context);
  });

  it.each(transposes)('is exact on integers, %j', (options) => {
    const [a, b] = [data.integers(m * k), data.integers(k * n)];
    const y = matmul(stored(a, m, k, options.transposeA), stored(b, k, n, options.transposeB), options);
    expectExact(y, reference(a, b, m, k, n), context);
  });

  it.each(transposes)('gives the same numbers for any number of threads, %j', (options) => {
    const [a, b] = [data.floats(m * k), data.floats(k * n)];
    const [x, w] = [stored(a, m, k, options.transposeA), stored(b, k, n, options.transposeB)];
    const bias = data.tensor([n]);
    const [one, ...others] = withThreadCounts(() => matmul(x, w, { ...options, bias, activation: 'tanh' }).dataSync());
    for (const other of others) expectExact(other, one!, context);
  });

  it('adds bias and residual and applies the activation', () => {
    const [a, b] = [data.floats(m * k), data.floats(k * n)];
    const [bias, residual] = [data.floats(n), data.floats(m * n)];
    const sums = reference(a, b, m, k, n).map((sum, i) => sum + bias[i % n]! + residual[i]!);
    const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
    const activations = {
      none: (x: number) => x,
      relu: (x: number) => Math.max(0, x),
      relu6: (x: number) => Math.min(6, Math.max(0, x)),
      sigmoid,
      tanh: Math.tanh,
      silu: (x: number) => x * sigmoid(x),
    };
    for (const [name, f] of Object.entries(activations)) {
      const y = matmul(tensor(a, [m, k]), tensor(b, [k, n]), {
        bias: tensor(bias),
        residual: tensor(residual, [m, n]),
        activation: name as keyof typeof activations,
      });
      expectClose(y, sums.map(f), { relative: 1e-6, scale: Math.sqrt(k) + 4 }, `${name}, ${context}`);
    }
  });
});

describe('matmul', () => {
  const data = new TestData();
  const context = `seed ${data.seed}`;

  it.each([
    { a: [3, 4, 5], b: [5, 6], y: [3, 4, 6] },
    { a: [4, 5], b: [3, 5, 6], y: [3, 4, 6] },
    { a: [2, 1, 4, 5], b: [3, 5, 6], y: [2, 3, 4, 6] },
    { a: [2, 3, 1, 5], b: [1, 3, 5, 6], y: [2, 3, 1, 6] },
    { a: [3, 7, 5], b: [1, 5, 6], y: [3, 7, 6] },
    { a: [70, 2, 3], b: [70, 3, 2], y: [70, 2, 2] },
  ])('broadcasts leading axes: $a · $b', ({ a, b, y }) => {
    const [m, k, n] = [a.at(-2)!, a.at(-1)!, b.at(-1)!];
    const [x, w] = [data.tensor(a), data.tensor(b)];
    const [xs, ws] = [x.dataSync(), w.dataSync()];
    const result = matmul(x, w);
    expect(result.shape).toEqual(y);
    const expected: number[] = [];
    const batch = y.slice(0, -2);
    const count = batch.reduce((p, d) => p * d, 1);
    for (let i = 0; i < count; i++) {
      const matrixOf = (shape: number[]): number => {
        let index = 0;
        let rest = i;
        let stride = 1;
        for (let axis = 1; axis <= batch.length; axis++) {
          const at = rest % batch.at(-axis)!;
          rest = Math.floor(rest / batch.at(-axis)!);
          const dim = shape.slice(0, -2).at(-axis) ?? 1;
          if (axis <= shape.length - 2) {
            index += (dim === 1 ? 0 : at) * stride;
            stride *= dim;
          }
        }
        return index;
      };
      const [ia, ib] = [matrixOf(a), matrixOf(b)];
      expected.push(
        ...reference(xs.subarray(ia * m * k, (ia + 1) * m * k), ws.subarray(ib * k * n, (ib + 1) * k * n), m, k, n),
      );
    }
    expectClose(result, expected, { relative: 1e-6, scale: 4 }, context);
  });

  it.each([
    { a: [3, 4], b: [4, 5] },
    { a: [1, 4], b: [4, 5] },
    { a: [3, 4], b: [4, 1] },
    { a: [2, 3, 4], b: [4, 5] },
    { a: [3, 4], b: [2, 4, 5] },
    { a: [2, 1, 3, 4], b: [2, 4, 5] },
    { a: [3, 1, 2, 4], b: [1, 2, 4, 3] },
  ])('has the gradients that finite differences show: $a · $b', ({ a, b }) => {
    for (const options of transposes) {
      const shape = (dims: number[], swapped: boolean): number[] =>
        swapped ? [...dims.slice(0, -2), dims.at(-1)!, dims.at(-2)!] : dims;
      const inputs: [Tensor, Tensor, Tensor] = [
        data.tensor(shape(a, options.transposeA)),
        data.tensor(shape(b, options.transposeB)),
        data.tensor([b.at(-1)!]),
      ];
      gradCheck((x, w, bias) => matmul(x, w, { ...options, bias }), inputs);
    }
  });

  it.each(['relu', 'relu6', 'sigmoid', 'tanh', 'silu'] as const)('has the gradients through %s', (activation) => {
    // Away from the kinks of relu: integers and a half.
    const [x, w] = [tensor(data.integers(12), [3, 4]), tensor(data.integers(20, -1, 1), [4, 5])];
    const [bias, residual] = [tensor([0.5, -0.5, 1.5, 2.5, -1.5]), tensor(data.integers(15), [3, 5])];
    gradCheck((x, w, bias, residual) => matmul(x, w, { bias, residual, activation }), [x, w, bias, residual]);
  });

  it('linear is a product over the last axis', () => {
    const [x, w, bias] = [data.tensor([2, 3, 5]), data.tensor([5, 4]), data.tensor([4])];
    expectExact(linear(x, w, bias, { activation: 'relu' }), matmul(x, w, { bias, activation: 'relu' }).dataSync());
    gradCheck((x, w, bias) => linear(x, w, bias), [x, w, bias]);
  });

  it('keeps NaN, and relu does not hide it', () => {
    const x = tensor([NaN, 1, 1, 1], [2, 2]);
    const y = matmul(x, tensor([1, 2, 3, 4], [2, 2]), { activation: 'relu' }).dataSync();
    expect([...y]).toEqual([NaN, NaN, 4, 6]);
  });

  it.each([
    {
      body: () => matmul(cg.zeros([3]), cg.zeros([3, 2])),
      code: 'ERR_SHAPE',
      message: 'matmul: a must have at least 2 dimensions, got [3]',
    },
    {
      body: () => matmul(cg.zeros([2, 3]), cg.zeros([4, 5])),
      code: 'ERR_SHAPE',
      message: 'matmul: a [2, 3] has 3 columns, but b [4, 5] has 4 rows',
    },
    {
      body: () => matmul(cg.zeros([2, 2, 3]), cg.zeros([3, 3, 5])),
      code: 'ERR_SHAPE',
      message: 'matmul: the leading dimensions of a [2, 2, 3] and b [3, 3, 5] do not broadcast',
    },
    {
      body: () => matmul(cg.zeros([2, 3]), cg.zeros([3, 5]), { bias: cg.zeros([4]) }),
      code: 'ERR_SHAPE',
      message: 'matmul: bias must have shape [5], one number an output channel, got [4]',
    },
    {
      body: () => matmul(cg.zeros([2, 3]), cg.zeros([3, 5]), { residual: cg.zeros([5]) }),
      code: 'ERR_SHAPE',
      message: 'matmul: residual must have shape [2, 5], got [5]',
    },
    {
      body: () => matmul(cg.zeros([2, 3], 'int32') as unknown as Tensor, cg.zeros([3, 5])),
      code: 'ERR_DTYPE',
      message: 'matmul: a must be float32, got int32',
    },
    {
      body: () => matmul(cg.zeros([2, 3]), cg.zeros([3, 5]), { activation: 'gelu' as 'relu' }),
      code: 'ERR_VALUE',
      message: "matmul: activation must be one of 'none', 'relu', 'relu6', 'sigmoid', 'tanh', 'silu', got gelu",
    },
    {
      body: () => linear(cg.zeros([2, 3136]), cg.zeros([2304, 64])),
      code: 'ERR_SHAPE',
      message: 'linear: weight [2304, 64] wants an input [..., 2304], got [2, 3136]',
    },
  ])('refuses bad input: $message', ({ body, code, message }) => {
    expect(errorOf(body)).toMatchObject({ code, message });
  });
});
