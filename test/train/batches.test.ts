import { describe, expect, test } from 'vitest';
import { memory, tensor, type Tensor } from '../../lib';
import {
  ArrayBatches,
  columnsOf,
  disposeBatch,
  type Batch,
  type BatchSource,
  type Columns,
} from '../../lib/train/batches';
import { DatasetBatches, type BatchDataset } from '../../lib/train/datasetBatches';
import {
  categoricalCrossentropy,
  meanSquaredError,
  sparseCategoricalCrossentropy,
  type Loss,
} from '../../lib/train/losses';
import type { ArrayInput } from '../../lib/train/rows';
import { rejectionOf } from '../support/files';

const names = { x: 'fit: x', y: 'fit: y', sampleWeight: 'fit: sampleWeight' };
/** Ten classes, whatever goes in. */
const outputShape = (): number[] => [10];

function columns(x: ArrayInput, y: ArrayInput, loss: Loss = sparseCategoricalCrossentropy()): Promise<Columns> {
  return columnsOf({ x, y }, names, loss, outputShape);
}

/** Reads one pass, and disposes it. */
async function read(
  source: BatchSource,
  epoch = 0,
): Promise<{ x: number[]; y: number[]; w: number[] | null; size: number }[]> {
  const batches = [];
  for await (const batch of source.pass(epoch)) {
    const [x, y] = [await batch.inputs[0]!.data(), await batch.target.data()];
    const w = await batch.sampleWeight?.data();
    batches.push({ x: [...x], y: [...y], w: w ? [...w] : null, size: batch.size });
    disposeBatch(batch);
  }
  return batches;
}

const count = 10;
const images = Float32Array.from({ length: count * 2 }, (_, i) => i);
const labels = Int32Array.from({ length: count }, (_, i) => i);
const data = { data: images, shape: [count, 2] };

describe('arrays', () => {
  test.each([
    ['typed arrays', data, labels],
    ['bytes', { data: Uint8Array.from(images), shape: [count, 2] }, Uint8Array.from(labels)],
    ['float64', { data: Float64Array.from(images) as never, shape: [count, 2] }, Float64Array.from(labels) as never],
    ['int16', { data: Int16Array.from(images) as never, shape: [count, 2] }, Uint16Array.from(labels) as never],
    ['nested arrays', Array.from(labels, (i) => [2 * i, 2 * i + 1]), [...labels]],
    ['columns of labels', data, Array.from(labels, (label) => [label])],
  ])('%s come in order, in batches', async (_, x, y) => {
    const batches = await read(new ArrayBatches(await columns(x, y), { batchSize: 4, what: 'fit' }));
    expect(batches.map(({ size }) => size)).toEqual([4, 4, 2]);
    expect(batches.flatMap(({ x }) => x)).toEqual([...images]);
    expect(batches.flatMap(({ y }) => y)).toEqual([...labels]);
  });

  test('tensors too; the tensors stay, and nothing else does', async () => {
    using x = tensor(images, [count, 2]);
    using y = tensor(Float32Array.from(labels));
    const before = memory().tensors;
    const batches = await read(new ArrayBatches(await columns(x, y), { batchSize: 3, shuffleSeed: 1, what: 'fit' }));
    expect(batches.map(({ size }) => size)).toEqual([3, 3, 3, 1]);
    for (const { x, y } of batches) expect(x).toEqual(y.flatMap((label) => [2 * label, 2 * label + 1]));
    expect(memory().tensors).toBe(before);
  });

  test('a shuffled pass has every sample once, in an order of the seed and the epoch', async () => {
    const own = await columns(data, labels);
    const order = async (shuffleSeed: number, epoch: number) =>
      (await read(new ArrayBatches(own, { batchSize: 4, shuffleSeed, what: 'fit' }), epoch)).flatMap(({ x, y }) => {
        expect(x).toEqual(y.flatMap((label) => [2 * label, 2 * label + 1]));
        return y;
      });
    const first = await order(7, 0);
    expect([...first].sort((a, b) => a - b)).toEqual([...labels]);
    expect(first).not.toEqual([...labels]);
    expect(await order(7, 0)).toEqual(first);
    expect(await order(7, 1)).not.toEqual(first);
    expect(await order(8, 0)).not.toEqual(first);
  });

  test('a part of a tensor that is shuffled draws from that part alone', async () => {
    using x = tensor(images, [count, 2]);
    const own = await columns(x, labels);
    const part = {
      ...own,
      inputs: own.inputs.map((rows) => rows.part(6, 10)),
      target: own.target.part(6, 10),
    };
    const [batch] = await read(new ArrayBatches(part, { batchSize: 4, shuffleSeed: 3, what: 'fit' }));
    expect([...batch!.y].sort()).toEqual([6, 7, 8, 9]);
    expect(batch!.x).toEqual(batch!.y.flatMap((label) => [2 * label, 2 * label + 1]));
  });

  test('class weights times sample weights', async () => {
    const own = await columnsOf(
      { x: data, y: labels, sampleWeight: labels.map((label) => label + 1) },
      names,
      sparseCategoricalCrossentropy(),
      outputShape,
    );
    const source = new ArrayBatches(own, { batchSize: 10, classWeight: { 3: 2, 4: 0 }, what: 'fit' });
    expect((await read(source))[0]!.w).toEqual([1, 2, 3, 8, 0, 6, 7, 8, 9, 10]);
    source.dispose();
  });

  test('class weights go by the class of one-hot rows', async () => {
    const oneHot = Array.from(labels, (label) => Array.from(labels, (c) => Number(c === label)));
    const own = await columns(data, oneHot, categoricalCrossentropy());
    const source = new ArrayBatches(own, { batchSize: 10, classWeight: [1, 1, 5], what: 'fit' });
    expect((await read(source))[0]!.w).toEqual([1, 1, 5, 1, 1, 1, 1, 1, 1, 1]);
    source.dispose();
  });
});

describe('labels and data that do not fit', () => {
  const wrong: [name: string, x: ArrayInput, y: ArrayInput, loss: Loss, message: string][] = [
    [
      'out of range',
      data,
      labels.map((i) => i + 1),
      sparseCategoricalCrossentropy(),
      'fit: y: the label of sample 9 is 10, wanted a class from 0 to 9',
    ],
    ['negative', data, labels.map((i) => i - 1), sparseCategoricalCrossentropy(), 'the label of sample 0 is -1'],
    [
      'NaN',
      data,
      [0, 1, NaN, 3, 4, 5, 6, 7, 8, 9],
      sparseCategoricalCrossentropy(),
      'the label of sample 2 is NaN, wanted a class',
    ],
    [
      'a fraction',
      data,
      [0, 1, 0.5, 3, 4, 5, 6, 7, 8, 9],
      sparseCategoricalCrossentropy(),
      'the label of sample 2 is 0.5, wanted a class',
    ],
    [
      'a target that is NaN',
      data,
      [...new Array<number[]>(10)].map((_, i) => new Array<number>(10).fill(i === 4 ? NaN : 0)),
      meanSquaredError(),
      'the label of sample 4, element 0, is NaN, wanted a number',
    ],
    ['too few', data, labels.subarray(1), sparseCategoricalCrossentropy(), 'fit: x has 10 samples, fit: y has 9'],
    [
      'one-hot for a sparse loss',
      data,
      { data: new Float32Array(100), shape: [10, 10] },
      sparseCategoricalCrossentropy(),
      "for one-hot labels use 'categoricalCrossentropy'",
    ],
    [
      'classes for a loss of one-hot labels',
      data,
      labels,
      categoricalCrossentropy(),
      "for classes use 'sparseCategoricalCrossentropy'",
    ],
    [
      'of another width',
      data,
      { data: new Float32Array(30), shape: [10, 3] },
      meanSquaredError(),
      'fit: y has labels of shape [3] a sample; meanSquaredError wants [10]',
    ],
    [
      'no samples',
      { data: new Float32Array(0), shape: [0, 2] },
      labels,
      sparseCategoricalCrossentropy(),
      'fit: x is empty: it has shape [0, 2]',
    ],
    ['an empty array', [], labels, sparseCategoricalCrossentropy(), 'fit: x is empty: it has shape [0]'],
    [
      'a shape that the data does not fill',
      { data: images, shape: [10, 3] },
      labels,
      sparseCategoricalCrossentropy(),
      'data has 20 elements, its shape [10, 3] wants 30',
    ],
    [
      'ragged rows',
      [[1, 2], [3]],
      labels,
      sparseCategoricalCrossentropy(),
      'fit: x: row 1 has an array of 1, wanted an array of 2 as in row 0',
    ],
    ['text', [['1']] as never, labels, sparseCategoricalCrossentropy(), 'fit: x: row 0 has a string, wanted numbers'],
    ['nothing', undefined as never, labels, sparseCategoricalCrossentropy(), 'fit: x must be a tensor, a typed array'],
    [
      '64-bit integers',
      data,
      new BigInt64Array(10) as never,
      sparseCategoricalCrossentropy(),
      'fit: y is a BigInt64Array',
    ],
  ];
  test.each(wrong)('%s', async (_, x, y, loss, message) => {
    const before = memory().tensors;
    expect((await rejectionOf(columns(x, y, loss))).message).toContain(message);
    expect(memory().tensors).toBe(before);
  });

  test('a tensor that was disposed', async () => {
    const x = tensor(images, [count, 2]);
    x.dispose();
    expect(await rejectionOf(columns(x, labels))).toMatchObject({ code: 'ERR_DISPOSED' });
  });

  test('class weights of classes that are not there, or that are no weights', async () => {
    const own = await columns(data, labels);
    const make = (classWeight: Record<number, number>) => () =>
      new ArrayBatches(own, { batchSize: 1, classWeight, what: 'fit' });
    expect(make({ 10: 1 })).toThrow('fit: classWeight has class 10, wanted 0 to 9');
    expect(make({ 1: NaN })).toThrow('fit: classWeight of class 1 is NaN');
  });
});

describe('data sets', () => {
  const batch = (...values: number[]): [Tensor, Tensor<'int32'>] => [
    tensor(Float32Array.from(values.flatMap((i) => [2 * i, 2 * i + 1])), [values.length, 2]),
    tensor(Int32Array.from(values)),
  ];
  const source = (
    dataset: BatchDataset,
    loss = sparseCategoricalCrossentropy(),
    classWeight?: Record<number, number>,
  ) => new DatasetBatches(dataset, 'fit: dataset', loss, outputShape, classWeight);

  test.each<[string, () => BatchDataset]>([
    ['an array of pairs made anew', () => () => [batch(0, 1), batch(2)]],
    [
      'a generator function',
      () =>
        function* () {
          yield batch(0, 1);
          yield batch(2);
        },
    ],
    [
      'an async iterable of objects',
      () => ({
        async *[Symbol.asyncIterator]() {
          const [[x, y], [x2, y2]] = [batch(0, 1), batch(2)];
          yield { x, y };
          yield { x: x2, y: y2 };
        },
      }),
    ],
  ])('%s can be read again, and leaves nothing', async (_, dataset) => {
    const before = memory().tensors;
    const own = source(dataset());
    for (let epoch = 0; epoch < 2; epoch++) {
      expect(await read(own)).toEqual([
        { x: [0, 1, 2, 3], y: [0, 1], w: null, size: 2 },
        { x: [4, 5], y: [2], w: null, size: 1 },
      ]);
    }
    expect(memory().tensors).toBe(before);
  });

  test('labels are converted, and weighted', async () => {
    const dataset = (): Iterable<[Tensor, Tensor, Tensor]> => [
      [batch(3, 4)[0], tensor(Float32Array.of(3, 4), [2, 1]), tensor(Float32Array.of(0.5, 2))],
    ];
    const own = source(dataset, sparseCategoricalCrossentropy(), { 4: 3 });
    expect(await read(own)).toEqual([{ x: [6, 7, 8, 9], y: [3, 4], w: [0.5, 6], size: 2 }]);
    own.dispose();
  });

  test('what is no batch is refused, and disposed', async () => {
    const wrong: [unknown, string][] = [
      [batch(1)[0], 'fit: dataset: batch 0 must be [x, y] or { x, y }, of tensors'],
      [{ images: batch(1)[0] }, 'must be [x, y]'],
      [null, 'must be [x, y]'],
      [[batch(1, 2)[0], batch(1)[1]], 'fit: dataset: batch 0: x has 2 samples, y has 1'],
      [[batch(1)[0], tensor(Float32Array.of(NaN))], 'fit: dataset: batch 0: y: the label of sample 0 is NaN'],
    ];
    for (const [item, message] of wrong) {
      expect((await rejectionOf(read(source(() => [item] as never)))).message).toContain(message);
    }
  });

  test('a generator is read once; a second pass, and an empty one, say so', async () => {
    function* once() {
      yield batch(1);
    }
    const own = source(once());
    await read(own);
    expect((await rejectionOf(read(own))).message).toContain('a generator can be read only once');
    expect((await rejectionOf(read(source(() => [])))).message).toBe('fit: dataset gives no batches');
  });

  test('leaving a pass early closes the iterator', async () => {
    let closed = false;
    async function* endless() {
      try {
        for (;;) yield batch(1);
      } finally {
        closed = true;
      }
    }
    for await (const one of source(endless).pass()) {
      disposeBatch(one as Batch);
      break;
    }
    expect(closed).toBe(true);
  });
});
