import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, expectTypeOf, it, vi } from 'vitest';
import { memory, tensor, type Tensor } from '../../lib';
import { Dataset, type NdArray } from '../../lib/data';
import { freshSeed } from '../../lib/data/random';
import { rejectionOf } from '../support/files';

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Counts 0, 1, 2 … and notes when it is closed. */
function watched(count: number) {
  const log = { opened: 0, closed: 0, given: 0 };
  const dataset = Dataset.from(async function* () {
    ++log.opened;
    try {
      for (let i = 0; i < count; ++i) {
        ++log.given;
        yield i;
      }
    } finally {
      ++log.closed;
    }
  });
  return { dataset, log };
}

// The state of the shared generator is a tensor that stays.
freshSeed();

let tensorsBefore = 0;
beforeEach(() => {
  tensorsBefore = memory().tensors;
});
afterEach(() => {
  expect(memory().tensors, 'tensors leaked').toBe(tensorsBefore);
});

describe('sources', () => {
  it.each([
    ['an array', [1, 2, 3]],
    ['a set', new Set([1, 2, 3])],
    ['a typed array', Int32Array.of(1, 2, 3)],
    [
      'a generator function',
      function* () {
        yield* [1, 2, 3];
      },
    ],
    [
      'an async generator function',
      async function* () {
        yield* [1, 2, 3];
      },
    ],
    ['a function that gives an array', () => [1, 2, 3]],
    ['another data set', Dataset.from([1, 2, 3])],
  ])('reads %s twice', async (_, source) => {
    const dataset = Dataset.from<number>(source);
    expect(await dataset.toArray()).toEqual([1, 2, 3]);
    expect(await dataset.toArray()).toEqual([1, 2, 3]);
  });

  it('reads a generator once, and says so the second time', async () => {
    const numbers = (function* () {
      yield* [1, 2];
    })();
    const dataset = Dataset.from(numbers).map((x) => x * 2);
    expect(await dataset.toArray()).toEqual([2, 4]);
    const error = await rejectionOf(dataset.toArray());
    expect(error.code).toBe('ERR_STATE');
    expect(error.message).toContain('pass the generator function');
  });

  it('refuses what has no items', () => {
    for (const bad of [null, undefined, 7, {}]) {
      expect(() => Dataset.from(bad as unknown as number[])).toThrow(/Dataset.from wants items/);
    }
  });

  it('lends the tensors of an array: reading them twice, and disposing what was read, leaves them alone', async () => {
    using held = tensor([1, 2]);
    const dataset = Dataset.from([{ x: held }]);
    for (let pass = 0; pass < 2; ++pass) {
      for await (const { x } of dataset) {
        expect(x).not.toBe(held);
        x.dispose();
      }
    }
    expect([...held.dataSync()]).toEqual([1, 2]);
  });
});

describe('map', () => {
  it('keeps the order, whatever each call takes, and the bound on calls under way', async () => {
    let underWay = 0;
    let most = 0;
    const dataset = Dataset.from(range(40)).map(
      async (x, index) => {
        most = Math.max(most, ++underWay);
        await delay((x * 7) % 5);
        --underWay;
        return [x, index];
      },
      { concurrency: 4 },
    );
    expect(await dataset.toArray()).toEqual(range(40).map((x) => [x, x]));
    expect(most).toBe(4);
  });

  it('names the sample, and its path, and keeps code and cause', async () => {
    const failing = Dataset.from(range(9).map((i) => ({ path: `cat/${i}.png` }))).map(({ path }) => {
      if (path.includes('5')) throw new TypeError('no such colour');
      return path;
    });
    const error = await rejectionOf(failing.toArray());
    expect(error.message).toBe('sample 5 (cat/5.png): no such colour');
    expect(error.code).toBe('ERR_VALUE');
    expect(error.cause).toBeInstanceOf(TypeError);

    const shape = Dataset.from([1]).map(() => tensor([1, 2], [3]));
    const native = await rejectionOf(shape.toArray());
    expect(native.code).toBe('ERR_SHAPE');
    expect(native.message).toMatch(/^sample 0: /);
  });

  it('disposes the tensors of its argument, but not those that it passes on', async () => {
    const pairs = Dataset.from(function* () {
      for (let i = 0; i < 3; ++i) yield { kept: tensor([i]), dropped: tensor([i]) };
    });
    const kept = await pairs.map(({ kept }) => ({ kept })).toArray();
    expect(memory().tensors - tensorsBefore).toBe(3);
    for (const { kept: x } of kept) x.dispose();
  });

  it('disposes the argument, and results under way, when a call fails', async () => {
    const dataset = Dataset.from(function* () {
      for (let i = 0; ; ++i) yield tensor([i]);
    }).map(
      async (x) => {
        const value = x.item();
        await delay(value % 3);
        if (value === 5) throw new Error('five');
        return tensor([value]);
      },
      { concurrency: 4 },
    );
    expect((await rejectionOf(dataset.toArray())).message).toBe('sample 5: five');
  });

  it('runs nothing before a pass asks for it, and no more than it is asked for', async () => {
    const { dataset, log } = watched(100);
    const mapped = dataset.map((x) => x + 1);
    expect(log.opened).toBe(0);
    for await (const x of mapped) if (x === 3) break;
    expect(log).toEqual({ opened: 1, closed: 1, given: 3 });
  });
});

describe('filter, take, skip, repeat, concat, zip', () => {
  it('do what their names say', async () => {
    const ten = Dataset.from(range(10));
    expect(await ten.filter((x) => x % 3 === 0).toArray()).toEqual([0, 3, 6, 9]);
    expect(await ten.filter(async (_, index) => index > 7).toArray()).toEqual([8, 9]);
    expect(await ten.take(3).toArray()).toEqual([0, 1, 2]);
    expect(await ten.take(0).toArray()).toEqual([]);
    expect(await ten.skip(8).toArray()).toEqual([8, 9]);
    expect(await ten.skip(80).toArray()).toEqual([]);
    expect(await ten.take(2).repeat(3).toArray()).toEqual([0, 1, 0, 1, 0, 1]);
    expect(await ten.repeat().skip(25).take(3).toArray()).toEqual([5, 6, 7]);
    expect(
      await ten
        .take(1)
        .concat(ten.skip(9), Dataset.from([7]))
        .toArray(),
    ).toEqual([0, 9, 7]);
    expect(await Dataset.zip([ten, Dataset.from('abc')]).toArray()).toEqual([
      [0, 'a'],
      [1, 'b'],
      [2, 'c'],
    ]);
    expect(await Dataset.zip({ x: ten.take(2), y: ten.skip(1) }).toArray()).toEqual([
      { x: 0, y: 1 },
      { x: 1, y: 2 },
    ]);
  });

  it('end a repetition of nothing', async () => {
    expect(await Dataset.from([]).repeat().toArray()).toEqual([]);
  });

  it('dispose what they drop, and close what they leave', async () => {
    const endless = () =>
      Dataset.from(function* () {
        for (let i = 0; ; ++i) yield tensor([i]);
      });
    const some = await endless()
      .filter((x) => x.item() % 2 === 1)
      .skip(2)
      .take(2)
      .toArray();
    expect(some.map((x) => x.item())).toEqual([5, 7]);
    expect(memory().tensors - tensorsBefore).toBe(2);
    for (const x of some) x.dispose();

    const { dataset, log } = watched(100);
    const rows = await Dataset.zip([endless(), dataset.take(2)]).toArray();
    expect(rows.length).toBe(2);
    expect(memory().tensors - tensorsBefore).toBe(2);
    for (const [x] of rows) x.dispose();
    expect(log).toMatchObject({ opened: 1, closed: 1 });

    const failing = dataset.map((x) => {
      if (x === 1) throw new Error('one');
      return x;
    });
    expect(
      (
        await rejectionOf(
          Dataset.zip([endless().take(5), failing])
            .map(() => 0)
            .toArray(),
        )
      ).message,
    ).toBe('sample 1: one');
    expect(log).toMatchObject({ opened: 2, closed: 2 });
  });
});

describe('size', () => {
  it('is known where it can be', () => {
    const ten = Dataset.from(range(10));
    expect(ten.size).toBe(10);
    expect(Dataset.from(new Map([[1, 2]])).size).toBe(1);
    expect(ten.map(String).shuffle(3).prefetch(2).cache().size).toBe(10);
    expect(ten.batch(3).size).toBe(4);
    expect(ten.batch(3, { dropRemainder: true }).size).toBe(3);
    expect(ten.take(4).size).toBe(4);
    expect(ten.take(40).size).toBe(10);
    expect(ten.skip(4).size).toBe(6);
    expect(ten.skip(40).size).toBe(0);
    expect(ten.repeat(3).size).toBe(30);
    expect(ten.repeat().size).toBe(Infinity);
    expect(Dataset.from([]).repeat().size).toBe(0);
    expect(ten.concat(ten).size).toBe(20);
    expect(Dataset.zip([ten, ten.take(2)]).size).toBe(2);
    expect(ten.filter(Boolean).size).toBeUndefined();
    expect(ten.filter(Boolean).batch(2).size).toBeUndefined();
    expect(ten.concat(ten.filter(Boolean)).size).toBeUndefined();
    expect(Dataset.from(() => [1]).size).toBeUndefined();
  });

  it('refuses counts that are none', () => {
    const dataset = Dataset.from([1]);
    for (const bad of [0, -1, 1.5, NaN]) {
      expect(() => dataset.batch(bad)).toThrow(/batch: size must be an integer of at least 1, got/);
      expect(() => dataset.shuffle(bad)).toThrow(/shuffle: bufferSize must be/);
      expect(() => dataset.prefetch(bad)).toThrow(/prefetch: count must be/);
      expect(() => dataset.map(String, { concurrency: bad })).toThrow(/map: concurrency must be/);
    }
    expect(() => dataset.take(-1)).toThrow(/take: count must be an integer of at least 0/);
  });
});

describe('shuffle', () => {
  it('gives every item once, in another order each pass, and the same orders for the same seed', async () => {
    const passes = async (seed: number) => {
      const dataset = Dataset.from(range(100)).shuffle(100, { seed });
      return [await dataset.toArray(), await dataset.toArray()] as const;
    };
    const [first, second] = await passes(7);
    expect([...first].sort((a, b) => a - b)).toEqual(range(100));
    expect([...second].sort((a, b) => a - b)).toEqual(range(100));
    expect(first).not.toEqual(range(100));
    expect(first).not.toEqual(second);
    expect(await passes(7)).toEqual([first, second]);
    expect((await passes(8))[0]).not.toEqual(first);
  });

  it('keeps the order of the first pass where it is told to', async () => {
    for (const seed of [3, undefined]) {
      const dataset = Dataset.from(range(50)).shuffle(50, { seed, reshuffle: false });
      expect(await dataset.toArray()).toEqual(await dataset.toArray());
    }
  });

  it('moves an item no further ahead than its buffer is long', async () => {
    const order = await Dataset.from(range(200)).shuffle(10, { seed: 1 }).toArray();
    order.forEach((item, position) => expect(item).toBeLessThanOrEqual(position + 10));
    expect(new Set(order).size).toBe(200);
  });

  it('makes every order of three equally likely', async () => {
    const counts = new Map<string, number>();
    const dataset = Dataset.from([0, 1, 2]).shuffle(3, { seed: 11 });
    for (let pass = 0; pass < 3000; ++pass) {
      const order = (await dataset.toArray()).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    // Six standard deviations of a binomial of 3,000 and 1/6.
    for (const count of counts.values()) expect(Math.abs(count - 500)).toBeLessThan(6 * Math.sqrt(3000 * (5 / 36)));
  });

  it('disposes what it holds when it is left', async () => {
    const dataset = Dataset.from(function* () {
      for (let i = 0; i < 20; ++i) yield tensor([i]);
    }).shuffle(8);
    for await (const x of dataset) {
      x.dispose();
      break;
    }
  });
});

describe('batch', () => {
  it('stacks tuples of every kind of member', async () => {
    type Image = NdArray<Uint8Array>;
    const samples = range(5).map(
      (i) =>
        [
          { data: Uint8Array.of(i, i + 1), shape: [2, 1] } as Image,
          i,
          i + 0.5,
          i > 2,
          Float32Array.of(i),
          [[i], [2 * i]],
        ] as const,
    );
    const batches = await Dataset.from(samples).batch(2).toArray();
    expect(batches.map(([image]) => image.shape)).toEqual([
      [2, 2, 1],
      [2, 2, 1],
      [1, 2, 1],
    ]);
    const [image, label, target, flag, vector, nested] = batches[1]!;
    expectTypeOf(image).toEqualTypeOf<Tensor<'uint8'>>();
    expectTypeOf(flag).toEqualTypeOf<Tensor<'uint8'>>();
    expectTypeOf(vector).toEqualTypeOf<Tensor<'float32'>>();
    expectTypeOf(nested).toEqualTypeOf<Tensor<'float32'>>();
    expect([image, label, target, flag, vector, nested].map((t) => [t.dtype, t.shape, [...t.dataSync()]])).toEqual([
      ['uint8', [2, 2, 1], [2, 3, 3, 4]],
      ['int32', [2], [2, 3]],
      ['float32', [2], [2.5, 3.5]],
      ['uint8', [2], [0, 1]],
      ['float32', [2, 1], [2, 3]],
      ['float32', [2, 2, 1], [2, 4, 3, 6]],
    ]);
    for (const batch of batches) for (const t of batch) t.dispose();
  });

  it('stacks objects, nested ones too, and single members', async () => {
    const [batch] = await Dataset.from([
      { x: [1, 2], meta: { id: 3 } },
      { x: [4, 5], meta: { id: 6 } },
    ])
      .batch(2)
      .toArray();
    expect(batch!.x.arraySync()).toEqual([
      [1, 2],
      [4, 5],
    ]);
    expect(batch!.meta.id.arraySync()).toEqual([3, 6]);
    batch!.x.dispose();
    batch!.meta.id.dispose();

    const [numbers] = await Dataset.from([1, 2, 3]).batch(3).toArray();
    expect(numbers!.arraySync()).toEqual([1, 2, 3]);
    numbers!.dispose();
  });

  it('copies tensors into the batch and disposes them', async () => {
    const dataset = Dataset.from(function* () {
      for (let i = 0; i < 4; ++i) yield [tensor([i, i]), tensor(Int32Array.of(i), [])] as const;
    }).batch(2);
    const sums: number[] = [];
    for await (const [x, y] of dataset) {
      expect(memory().tensors - tensorsBefore).toBe(2);
      expect(x.shape).toEqual([2, 2]);
      expect(y.dtype).toBe('int32');
      sums.push([...x.dataSync()].reduce((a, b) => a + b));
      x.dispose();
      y.dispose();
    }
    expect(sums).toEqual([2, 10]);
  });

  it('takes the type of numbers as asked', async () => {
    for (const [values, scalars, dtype] of [
      [[1, 2], 'auto', 'int32'],
      [[1, 2.5], 'auto', 'float32'],
      [[1, NaN], 'auto', 'float32'],
      [[1, 2 ** 31], 'auto', 'float32'],
      [[1, 2], 'float32', 'float32'],
      [[1, 2], 'int32', 'int32'],
    ] as const) {
      const [batch] = await Dataset.from(values).batch(2, { scalars }).toArray();
      expect(batch!.dtype, `${values}`).toBe(dtype);
      batch!.dispose();
    }
    const error = await rejectionOf(Dataset.from([1, 2.5]).batch(2, { scalars: 'int32' }).toArray());
    expect(error.message).toBe('batch: sample 1 is 2.5, wanted an int32');
  });

  it('leaves out the smaller last batch where asked, and disposes its samples', async () => {
    const dataset = Dataset.from(function* () {
      for (let i = 0; i < 5; ++i) yield { x: tensor([i]) };
    }).batch(2, { dropRemainder: true });
    const batches = await dataset.toArray();
    expect(batches.length).toBe(2);
    for (const { x } of batches) x.dispose();
  });

  it.each<[string, unknown[], string, RegExp]>([
    [
      'shapes',
      [
        [Float32Array.of(1), 0],
        [Float32Array.of(1, 2), 1],
      ],
      'ERR_SHAPE',
      /\[0\] of sample 1 is Float32Array of shape \[2\], wanted Float32Array of shape \[1\]/,
    ],
    ['types', [{ x: Uint8Array.of(1) }, { x: Float32Array.of(1) }], 'ERR_SHAPE', /x of sample 1 is Float32Array/],
    ['kinds', [1, 'two'], 'ERR_VALUE', /sample 1 is a string, wanted a number/],
    ['lengths of tuples', [[1, 2], [1]], 'ERR_VALUE', /sample 1 is an array of 1, wanted a tuple of 2/],
    ['names', [{ a: 1 }, { b: 1 }], 'ERR_VALUE', /sample 1 is an object of Object, wanted an object with 'a'/],
    ['ragged arrays', [{ x: [[1, 2], [3]] }], 'ERR_VALUE', /x of sample 0 is an array that is ragged/],
    ['views', [{ x: new DataView(new ArrayBuffer(8)) }], 'ERR_VALUE', /x of sample 0 is .*; Float32Array, Int32Array/],
    ['types we have not', [{ x: Float64Array.of(1) }], 'ERR_VALUE', /x of sample 0 is Float64Array of shape \[1\]/],
    ['strings', ['one'], 'ERR_VALUE', /sample 0 is a string; numbers, booleans/],
    ['nothing', [{ x: undefined }], 'ERR_VALUE', /x of sample 0 is undefined/],
    ['no elements', [{ x: [] }], 'ERR_SHAPE', /./],
  ])('refuses samples that differ in %s', async (_, samples, code, message) => {
    // The first member is fine and must be disposed.
    const dataset = Dataset.from(samples.map((sample) => ({ fine: 1, sample }))).map(({ fine, sample }) =>
      Array.isArray(sample) || typeof sample !== 'object' ? sample : { fine, ...sample },
    );
    const error = await rejectionOf(dataset.batch(4).toArray());
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
  });

  it('names tensors that differ, and disposes them', async () => {
    const dataset = Dataset.from(() => [{ x: tensor([1]) }, { x: tensor([1, 2]) }]).batch(2);
    expect((await rejectionOf(dataset.toArray())).message).toBe(
      'batch: x of sample 1 is a float32 tensor of shape [2], wanted a float32 tensor of shape [1] like the first of the batch',
    );
  });

  it('takes a Buffer for bytes, and {data, shape} only where they agree', async () => {
    const [batch] = await Dataset.from([{ x: Buffer.of(1, 2) }])
      .batch(1)
      .toArray();
    expect(batch!.x.dtype).toBe('uint8');
    expect([...batch!.x.dataSync()]).toEqual([1, 2]);
    batch!.x.dispose();
    const wrong = Dataset.from([{ data: Uint8Array.of(1, 2), shape: [3] }]).batch(1);
    expect((await rejectionOf(wrong.toArray())).code).toBe('ERR_SHAPE');
  });

  it('names a sample by its number in the pass, not in the batch', async () => {
    const dataset = Dataset.from(range(10)).map((i) => (i === 7 ? [1, 2] : [1]));
    expect(
      (
        await rejectionOf(
          dataset
            .map((x) => ({ x }))
            .batch(4)
            .map(({ x }) => x.dispose())
            .toArray(),
        )
      ).message,
    ).toMatch(/x of sample 7 is/);
  });
});

describe('prefetch', () => {
  it('keeps the order and works ahead of a slow reader, but only so far', async () => {
    const { dataset, log } = watched(20);
    const seen: number[] = [];
    for await (const x of dataset.prefetch(3)) {
      seen.push(x);
      await vi.waitFor(() => expect(log.given).toBe(Math.min(20, x + 1 + 3)));
    }
    expect(seen).toEqual(range(20));
  });

  it('passes a failure on in its turn', async () => {
    const dataset = Dataset.from(range(10)).map((x) => {
      if (x === 4) throw new Error('four');
      return x;
    });
    const seen: number[] = [];
    const error = await rejectionOf(
      (async () => {
        for await (const x of dataset.prefetch(3)) {
          await delay(1);
          seen.push(x);
        }
      })(),
    );
    expect(error.message).toBe('sample 4: four');
    expect(seen).toEqual([0, 1, 2, 3]);
  });

  it('closes what it reads from and disposes what it has made when it is left early', async () => {
    const { dataset, log } = watched(1000);
    const batches = dataset
      .map(async (i) => ({ x: tensor([i]), y: i }), { concurrency: 3 })
      .batch(4)
      .prefetch(5);
    for (let pass = 0; pass < 3; ++pass) {
      for await (const { x, y } of batches) {
        await delay(3);
        x.dispose();
        y.dispose();
        break;
      }
      expect(memory().tensors).toBe(tensorsBefore);
    }
    expect(log).toMatchObject({ opened: 3, closed: 3 });
    expect(log.given).toBeLessThan(150);
  });

  it('closes also when the reader throws', async () => {
    const { dataset, log } = watched(10);
    const reading = async () => {
      for await (const x of dataset.map((i) => tensor([i])).prefetch(2)) {
        x.dispose();
        throw new Error('enough');
      }
    };
    expect((await rejectionOf(reading())).message).toBe('enough');
    expect(log).toMatchObject({ opened: 1, closed: 1 });
  });
});

describe('cache', () => {
  it('reads its source once, after a whole pass', async () => {
    const { dataset, log } = watched(4);
    const cached = dataset.cache();
    for await (const _ of cached) break;
    expect(log.opened).toBe(1);
    expect(await cached.toArray()).toEqual(range(4));
    expect(await cached.toArray()).toEqual(range(4));
    expect(log).toMatchObject({ opened: 2, closed: 2 });
  });

  it('keeps tensors of its own', async () => {
    const cached = Dataset.from(function* () {
      yield tensor([1]);
      yield tensor([2]);
    }).cache();
    for (let pass = 0; pass < 3; ++pass) {
      for await (const x of cached) {
        expect([1, 2]).toContain(x.item());
        x.dispose();
      }
    }
    expect(memory().tensors - tensorsBefore).toBe(2);
    tensorsBefore += 2;
  });
});

describe('the event loop', () => {
  it('gets its turn while items come that wait for nothing', async () => {
    let turns = 0;
    const timer = setInterval(() => ++turns, 1);
    const busy = Dataset.from(range(60)).map(() => {
      const end = performance.now() + 1;
      while (performance.now() < end);
    });
    await busy.toArray();
    clearInterval(timer);
    expect(turns).toBeGreaterThan(2);
  });
});
