import { describe, expect, it } from 'vitest';
import * as cg from '../../lib';
import { gradCheck, tensor, type DType, type Tensor } from '../../lib';
import { sumTo } from '../../lib/ops/broadcast';
import { array64, at, build } from '../reference/arrays';
import { errorOf, expectExact } from '../support/compare';
import { withThreadCounts } from '../support/isas';
import { TestData } from '../support/random';

const data = new TestData();
const context = `seed ${data.seed}`;
const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const arrays = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array };
const dtypes = Object.keys(arrays) as DType[];

/** A tensor of each dtype with the same integers. */
function inEachDtype(shape: readonly number[]): Tensor<DType>[] {
  const values = data.integers(size(shape), 0, 255);
  return dtypes.map((dtype) => tensor(arrays[dtype].from(values), shape));
}

/** `op` on every dtype gives the elements that `source(index)` says, the index being the result's. */
function expectMoved(
  x: readonly number[],
  op: (x: Tensor<DType>) => Tensor<DType>,
  shape: readonly number[],
  value: (x: (index: readonly number[]) => number, index: readonly number[]) => number,
): void {
  for (const input of inEachDtype(x)) {
    const y = op(input);
    const reference = array64(input);
    expect(y.dtype).toBe(input.dtype);
    expect(y.shape).toEqual(shape);
    expectExact(y, build(shape, (index) => value((i) => at(reference, i), index)).data, context);
  }
}

describe('reshape', () => {
  it('keeps the order, shares the memory and fills in -1', () => {
    expectMoved(
      [4, 6],
      (x) => cg.reshape(x, [3, 8]),
      [3, 8],
      (x, [i, j]) => {
        const flat = i! * 8 + j!;
        return x([Math.floor(flat / 6), flat % 6]);
      },
    );
    const x = data.tensor([4, 6]);
    const before = cg.memory().blocks;
    expect(cg.view(x, [2, -1, 3]).shape).toEqual([2, 4, 3]);
    expect(cg.memory().blocks).toBe(before);
    gradCheck((x) => cg.reshape(x, [2, -1]), [data.tensor([3, 4])]);
  });

  it('says what does not fit', () => {
    const x = data.tensor([4, 6]);
    for (const shape of [
      [5, 5],
      [7, -1],
      [-1, -1],
      [0, -1],
    ]) {
      expect(errorOf(() => cg.reshape(x, shape))).toMatchObject({
        code: 'ERR_SHAPE',
        message: expect.stringContaining('[4, 6]'),
      });
    }
  });
});

describe('flatten, squeeze, expandDims', () => {
  const x = data.tensor([2, 1, 3, 1]);

  it('change the shape alone', () => {
    expect(cg.flatten(x).shape).toEqual([2, 3]);
    expect(cg.flatten(x, 0).shape).toEqual([6]);
    expect(cg.flatten(x, -2).shape).toEqual([2, 1, 3]);
    expect(cg.squeeze(x).shape).toEqual([2, 3]);
    expect(cg.squeeze(x, -1).shape).toEqual([2, 1, 3]);
    expect(cg.squeeze(x, [1, 3]).shape).toEqual([2, 3]);
    expect(cg.expandDims(x, 0).shape).toEqual([1, 2, 1, 3, 1]);
    expect(cg.expandDims(x, -1).shape).toEqual([2, 1, 3, 1, 1]);
    expect(cg.expandDims(cg.scalar(3), 0).shape).toEqual([1]);
    gradCheck((x) => cg.expandDims(cg.squeeze(cg.flatten(x)), 1), [x]);
  });

  it('name a wrong axis', () => {
    expect(errorOf(() => cg.squeeze(x, 2))).toMatchObject({
      code: 'ERR_SHAPE',
      message: 'squeeze: axis 2 of [2, 1, 3, 1] has size 3, wanted 1',
    });
    expect(errorOf(() => cg.expandDims(x, 5))).toMatchObject({
      code: 'ERR_VALUE',
      message: 'expandDims: axis must be an integer in [-5, 4], got 5',
    });
    expect(errorOf(() => cg.flatten(x, 4))).toMatchObject({ code: 'ERR_VALUE' });
  });
});

describe('transpose', () => {
  it.each<[number[], number[]]>([
    [[5], [0]],
    [
      [3, 4],
      [1, 0],
    ],
    [
      [131, 67],
      [1, 0],
    ],
    [
      [300, 257],
      [1, 0],
    ],
    [
      [2, 5, 7, 3],
      [0, 3, 1, 2],
    ],
    [
      [2, 3, 35, 41],
      [0, 2, 3, 1],
    ],
    [
      [2, 3, 4, 5, 6],
      [4, 1, 0, 3, 2],
    ],
    [
      [9, 8, 7],
      [1, 0, 2],
    ],
    [
      [9, 70, 66],
      [2, 0, 1],
    ],
    [
      [4, 1, 6, 1],
      [-1, 2, 1, 0],
    ],
  ])('of %j by %j', (shape, permutation) => {
    const axes = permutation.map((axis) => (axis < 0 ? axis + shape.length : axis));
    const result = axes.map((axis) => shape[axis]!);
    expectMoved(
      shape,
      (x) => cg.transpose(x, permutation),
      result,
      (x, index) => {
        const source: number[] = [];
        axes.forEach((axis, i) => (source[axis] = index[i]!));
        return x(source);
      },
    );
  });

  it('reverses the axes by default', () => {
    expect(cg.transpose(data.tensor([2, 3, 4])).shape).toEqual([4, 3, 2]);
  });

  it('has the gradient that finite differences show', () => {
    gradCheck((x) => cg.transpose(x, [2, 0, 1]), [data.tensor([2, 3, 4])]);
    gradCheck((x) => cg.transpose(x, [-1, 0, -2]), [data.tensor([2, 3, 4])]);
  });

  it('refuses what is no permutation', () => {
    const x = data.tensor([2, 3]);
    for (const permutation of [[0], [0, 0], [0, 2]]) {
      expect(errorOf(() => cg.transpose(x, permutation))).toMatchObject({ code: 'ERR_VALUE' });
    }
  });
});

describe('slice', () => {
  it.each<[number[], number[], number[], number[], number[]]>([
    [[10], [3], [4], [1], [4]],
    [[10], [9], [4], [-3], [4]],
    [
      [50, 70],
      [10, 20],
      [30, 40],
      [1, 1],
      [30, 40],
    ],
    [
      [50, 70],
      [49, 1],
      [25, 23],
      [-2, 3],
      [25, 23],
    ],
    [
      [5, 6, 7],
      [1, 0, 2],
      [3, 6, 4],
      [1, 1, 1],
      [3, 6, 4],
    ],
    [
      [5, 6, 70],
      [4, 5, 69],
      [5, 6, 70],
      [-1, -1, -1],
      [5, 6, 70],
    ],
    [
      [4, 300, 9],
      [1, 7, 8],
      [2, 97, 1],
      [2, 3, 1],
      [2, 97, 1],
    ],
  ])('of %j from %j, size %j, strides %j', (shape, begin, wanted, strides, result) => {
    expectMoved(
      shape,
      (x) => cg.slice(x, begin, wanted, strides),
      result,
      (x, index) => x(index.map((i, axis) => begin[axis]! + i * strides[axis]!)),
    );
    const small = shape.map((dim) => Math.min(dim, 10));
    if (small.every((dim, axis) => dim === shape[axis])) {
      gradCheck((x) => cg.slice(x, begin, wanted, strides), [data.tensor(shape)]);
    }
  });

  it('takes the rest where nothing is said', () => {
    expectMoved(
      [5, 6],
      (x) => cg.slice(x, [-2]),
      [2, 6],
      (x, [i, j]) => x([i! + 3, j!]),
    );
    expectMoved(
      [5, 6],
      (x) => cg.slice(x, [0, 1], [-1, -1], [2, 3]),
      [3, 2],
      (x, [i, j]) => x([2 * i!, 1 + 3 * j!]),
    );
    expectMoved(
      [5, 6],
      (x) => cg.slice(x, [-1], [-1], [-2]),
      [3, 6],
      (x, [i, j]) => x([4 - 2 * i!, j!]),
    );
  });

  it('says which axis it leaves', () => {
    const x = data.tensor([5, 6]);
    expect(errorOf(() => cg.slice(x, [0, 4], [5, 3]))).toMatchObject({
      code: 'ERR_VALUE',
      message: 'slice: axis 1 of [5, 6] has no 3 elements from 4 in steps of 1',
    });
    for (const [begin, wanted, strides] of [
      [[5], [], []],
      [[-6], [], []],
      [[0], [0], []],
      [[0], [1], [0]],
      [[0], [6], [-1]],
      [[0, 0, 0], [], []],
      [[0.5], [1], []],
    ]) {
      expect(errorOf(() => cg.slice(x, begin!, wanted!, strides!))).toMatchObject({ code: 'ERR_VALUE' });
    }
  });
});

describe('flip', () => {
  it('reverses the axes', () => {
    expectMoved(
      [4, 40, 3],
      (x) => cg.flip(x, 1),
      [4, 40, 3],
      (x, [i, j, k]) => x([i!, 39 - j!, k!]),
    );
    expectMoved(
      [4, 5, 3],
      (x) => cg.flip(x, [0, -1]),
      [4, 5, 3],
      (x, [i, j, k]) => x([3 - i!, j!, 2 - k!]),
    );
    gradCheck((x) => cg.flip(x, [0, 2]), [data.tensor([2, 3, 4])]);
    expect(errorOf(() => cg.flip(data.tensor([3]), 1))).toMatchObject({ code: 'ERR_VALUE' });
  });
});

describe('pad', () => {
  it.each<[number[], [number, number][]]>([
    [[5], [[2, 3]]],
    [[3, 20], [[1, 0], [0, 2]]], // prettier-ignore
    [[2, 30, 31, 3], [[0, 0], [1, 2], [3, 0], [0, 0]]], // prettier-ignore
    [[2, 3], [[0, 0], [0, 0]]], // prettier-ignore
  ])('of %j by %j', (shape, paddings) => {
    const result = shape.map((dim, axis) => dim + paddings[axis]![0] + paddings[axis]![1]);
    expectMoved(
      shape,
      (x) => cg.pad(x, paddings, 7),
      result,
      (x, index) => {
        const source = index.map((i, axis) => i - paddings[axis]![0]);
        return source.every((i, axis) => i >= 0 && i < shape[axis]!) ? x(source) : 7;
      },
    );
    if (size(shape) < 100) gradCheck((x) => cg.pad(x, paddings), [data.tensor(shape)]);
  });

  it('wants a pair for each axis, and a value of the dtype', () => {
    const x = data.tensor([2, 3]);
    expect(errorOf(() => cg.pad(x, [[1, 1]]))).toMatchObject({ code: 'ERR_VALUE' });
    expect(errorOf(() => cg.pad(x, [[1, 1], [0, -1]]))).toMatchObject({ code: 'ERR_VALUE' }); // prettier-ignore
    expect(errorOf(() => cg.pad(tensor(new Uint8Array(3)), [[1, 1]], 256))).toMatchObject({
      code: 'ERR_VALUE',
      message: expect.stringContaining('256 is no uint8'),
    });
  });
});

describe('concat, stack and split', () => {
  it.each<[number[][], number]>([
    [[[3, 4]], 0],
    [[[3, 4], [2, 4], [5, 4]], 0], // prettier-ignore
    [[[3, 40], [3, 2], [3, 70]], 1], // prettier-ignore
    [[[2, 5, 6, 3], [2, 5, 6, 64]], -1], // prettier-ignore
    [[[2, 5, 6], [2, 1, 6]], -2], // prettier-ignore
  ])('concat of %j along %i, and back', (shapes, axis) => {
    const along = axis < 0 ? axis + shapes[0]!.length : axis;
    const total = shapes.reduce((sum, shape) => sum + shape[along]!, 0);
    for (const dtype of dtypes) {
      const xs = shapes.map((shape) => tensor(arrays[dtype].from(data.integers(size(shape), 0, 255)), shape));
      const y = cg.concat(xs as Tensor[], axis);
      const references = xs.map(array64);
      const shape = shapes[0]!.map((dim, i) => (i === along ? total : dim));
      const expected = build(shape, (index) => {
        let place = index[along]!;
        let which = 0;
        while (place >= shapes[which]![along]!) place -= shapes[which++]![along]!;
        return at(references[which]!, index.map((i, k) => (k === along ? place : i))); // prettier-ignore
      });
      expect(y.shape).toEqual(shape);
      expectExact(y, expected.data, context);
      const parts = cg.split(y, shapes.map((shape) => shape[along]!), axis); // prettier-ignore
      parts.forEach((part, i) => expectExact(part, xs[i]!.dataSync(), context));
    }
  });

  it('have the gradients that finite differences show', () => {
    const [a, b] = [data.tensor([2, 3]), data.tensor([2, 4])];
    gradCheck((a, b) => cg.concat([a, b, a], 1), [a, b]);
    gradCheck((a) => cg.stack([a, a], -1), [a]);
    gradCheck((b) => cg.mul(...(cg.split(b, 2, 1) as [Tensor, Tensor])), [b]);
  });

  it('stack along a new axis', () => {
    const [a, b] = [data.tensor([2, 3]), data.tensor([2, 3])];
    for (const [axis, shape] of [
      [0, [2, 2, 3]],
      [1, [2, 2, 3]],
      [-1, [2, 3, 2]],
    ] as const) {
      // prettier-ignore
      const y = cg.stack([a, b], axis);
      expect(y.shape).toEqual(shape);
      const [p, q] = [array64(a), array64(b)];
      const along = axis < 0 ? axis + 3 : axis;
      const expected = build(shape, (i) => at(i[along] ? q : p, i.filter((_, k) => k !== along))); // prettier-ignore
      expectExact(y, expected.data);
    }
  });

  it('name what does not fit', () => {
    expect(errorOf(() => cg.concat([]))).toMatchObject({ code: 'ERR_VALUE' });
    expect(errorOf(() => cg.concat([data.tensor([2, 3]), data.tensor([2, 4])], 0))).toMatchObject({
      code: 'ERR_SHAPE',
      message: expect.stringContaining('tensor 1 has shape [2, 4], which differs from the first, [2, 3]'),
    });
    const mixed = [data.tensor([2]), tensor(new Int32Array(2))] as Tensor[];
    expect(errorOf(() => cg.concat(mixed))).toMatchObject({ code: 'ERR_DTYPE' });
    expect(errorOf(() => cg.split(data.tensor([5]), 2))).toMatchObject({ code: 'ERR_VALUE' });
    expect(errorOf(() => cg.split(data.tensor([5]), [2, 2]))).toMatchObject({ code: 'ERR_VALUE' });
  });
});

describe('gather', () => {
  it.each<[number[], number, number[]]>([
    [[7], 0, [4]],
    [[20, 33], 0, [3, 5]],
    [[3, 20, 9], 1, [6]],
    [[3, 4, 20], -1, [2, 3]],
    [[5, 6], 1, []],
    [[1000, 64], 0, [700]],
  ])('from %j along %i by indices of shape %j', (shape, axis, indexShape) => {
    const along = axis < 0 ? axis + shape.length : axis;
    const indices = tensor(Int32Array.from(data.integers(size(indexShape), 0, shape[along]! - 1)), indexShape);
    const reference = array64(indices);
    const result = [...shape.slice(0, along), ...indexShape, ...shape.slice(along + 1)];
    expectMoved(
      shape,
      (x) => cg.gather(x, indices, axis),
      result,
      (x, index) => {
        const chosen = at(reference, index.slice(along, along + indexShape.length));
        return x([...index.slice(0, along), chosen, ...index.slice(along + indexShape.length)]);
      },
    );
    if (size(result) < 200) gradCheck((x) => cg.gather(x, indices, axis), [data.tensor(shape)]);
  });

  it('adds up the gradients of an index that comes often, the same for any number of threads', () => {
    const indices = tensor(Int32Array.from(data.integers(3000, 0, 9)));
    const run = () => {
      const x = cg.zeros([10, 300]);
      x.requiresGrad = true;
      cg.gather(x, indices).backward({ gradient: cg.ones([3000, 300]) });
      return x.grad!.dataSync();
    };
    const [one, ...others] = withThreadCounts(run);
    const counts = new Float64Array(10);
    for (const index of indices.dataSync()) counts[index]! += 1;
    expectExact(one!, build([10, 300], ([i]) => counts[i!]!).data, context);
    for (const other of others) expectExact(other, one!, context);
  });

  it('names an index that is out of range, and works on', () => {
    const x = data.tensor([5, 3]);
    for (const wrong of [5, -1]) {
      const y = cg.gather(x, tensor(new Int32Array([0, wrong])));
      expect(errorOf(() => y.dataSync())).toMatchObject({
        code: 'ERR_VALUE',
        message: `gather: indices[1] is ${wrong}, wanted an integer from 0 to 4`,
      });
    }
    expect(cg.sum(cg.ones([3])).item()).toBe(3);
    expect(errorOf(() => cg.gather(x, tensor([1]) as unknown as Tensor<'int32'>))).toMatchObject({
      code: 'ERR_DTYPE',
    });
  });
});

describe('oneHot', () => {
  it('has a 1 at the index', () => {
    const indices = tensor(Int32Array.from(data.integers(30, 0, 6)), [5, 6]);
    const reference = array64(indices);
    const y = cg.oneHot(indices, 7);
    expect(y.shape).toEqual([5, 6, 7]);
    expectExact(y, build([5, 6, 7], (i) => Number(at(reference, i.slice(0, 2)) === i[2])).data, context);
    expect(errorOf(() => cg.oneHot(tensor(new Int32Array([7])), 7).dataSync())).toMatchObject({
      code: 'ERR_VALUE',
      message: 'oneHot: indices[0] is 7, wanted an integer from 0 to 6',
    });
    expect(errorOf(() => cg.oneHot(indices, 0))).toMatchObject({ code: 'ERR_VALUE' });
  });
});

describe('cast', () => {
  const values = [0, -0.9, 0.5, 1.5, 2.5, 254.9, 255, 256, -1, 1e6 + 0.5, 2147483520, 2147483648, -2147483648, 1e20, -1e20, NaN, Infinity, -Infinity]; // prettier-ignore

  it('goes towards zero, saturates, and makes NaN 0', () => {
    const x = tensor(Float32Array.from(values));
    const towardsZero = (low: number, high: number) =>
      Array.from(x.dataSync(), (v) => (Number.isNaN(v) ? 0 : Math.trunc(Math.min(Math.max(v, low), high))));
    expectExact(cg.cast(x, 'int32'), towardsZero(-(2 ** 31), 2 ** 31 - 1));
    expectExact(cg.cast(x, 'uint8'), towardsZero(0, 255));
    // Long enough for the vectorised part of the loop.
    const long = tensor(Float32Array.from({ length: 1000 }, (_, i) => values[i % values.length]!));
    const once = cg.cast(x, 'int32').dataSync();
    expectExact(
      cg.cast(long, 'int32'),
      Int32Array.from({ length: 1000 }, (_, i) => once[i % values.length]!),
    );
  });

  it('converts between all dtypes', () => {
    const integers = tensor(new Int32Array([0, -5, 255, 256, 16777217, 2 ** 31 - 1, -(2 ** 31)]));
    expectExact(cg.cast(integers, 'uint8'), [0, 0, 255, 255, 255, 255, 0]);
    expectExact(cg.cast(integers, 'float32'), Float32Array.from(integers.dataSync()));
    const bytes = tensor(Uint8Array.from({ length: 70003 }, (_, i) => i % 256));
    expectExact(cg.cast(bytes, 'float32'), bytes.dataSync());
    expectExact(cg.cast(bytes, 'int32'), bytes.dataSync());
    expectExact(cg.cast(cg.cast(bytes, 'float32'), 'uint8'), bytes.dataSync());
  });

  it('passes gradients only where the dtype stays', () => {
    const x = data.tensor([3]);
    gradCheck((x) => cg.cast(x, 'float32'), [x]);
    x.requiresGrad = true;
    expect(cg.cast(x, 'int32').requiresGrad).toBe(false);
  });
});

describe('sumTo', () => {
  it('undoes broadcastTo, times the number of copies', () => {
    const x = tensor(data.integers(12), [4, 1, 3]);
    const y = sumTo(cg.broadcastTo(x, [5, 4, 7, 3]), [4, 1, 3]);
    expect(y.shape).toEqual([4, 1, 3]);
    expectExact(y, x.dataSync().map((v) => 35 * v), context); // prettier-ignore
    expectExact(sumTo(x, []), [x.dataSync().reduce((a, b) => a + b)], context);
  });
});

describe('broadcastTo and tile', () => {
  it.each<[number[], number[]]>([
    [[], [3, 4]],
    [[5], [200, 5]],
    [
      [200, 1],
      [200, 50],
    ],
    [
      [2, 1, 3],
      [4, 2, 70, 3],
    ],
  ])('broadcast %j to %j', (shape, wanted) => {
    expectMoved(
      shape,
      (x) => cg.broadcastTo(x, wanted),
      wanted,
      (x, index) => x(index.slice(wanted.length - shape.length).map((i, axis) => (shape[axis] === 1 ? 0 : i))),
    );
  });

  it.each<[number[], number[]]>([
    [[3], [4]],
    [
      [2, 3],
      [3, 1],
    ],
    [
      [2, 3, 4],
      [2, 3, 2],
    ],
    [
      [1, 2, 1, 2, 1, 2],
      [2, 1, 2, 2, 2, 2],
    ],
  ])('tile %j by %j', (shape, repetitions) => {
    const result = shape.map((dim, axis) => dim * repetitions[axis]!);
    expectMoved(
      shape,
      (x) => cg.tile(x, repetitions),
      result,
      (x, index) => x(index.map((i, axis) => i % shape[axis]!)),
    );
    gradCheck((x) => cg.tile(x, repetitions), [data.tensor(shape)]);
  });

  it('have the gradients that finite differences show', () => {
    gradCheck((x) => cg.broadcastTo(x, [2, 4, 3]), [data.tensor([4, 1])]);
    gradCheck((x) => cg.broadcastTo(x, [2, 1]), [data.tensor([1])]);
  });

  it('name what does not fit', () => {
    expect(errorOf(() => cg.broadcastTo(data.tensor([3]), [3, 4]))).toMatchObject({
      code: 'ERR_SHAPE',
      message: 'broadcastTo: [3] does not broadcast to [3, 4]',
    });
    expect(errorOf(() => cg.tile(data.tensor([3]), [2, 2]))).toMatchObject({ code: 'ERR_VALUE' });
    expect(errorOf(() => cg.tile(data.tensor([3]), [0]))).toMatchObject({ code: 'ERR_VALUE' });
  });
});
