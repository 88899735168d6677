import { ConvgradError } from '../errors';
import { collate, type Collated, type Scalars } from './collate';
import * as pipeline from './pipeline';
import { freshSeed, streamOf, type Random } from './random';
import { cloneTensors, disposeTensors } from './structure';

export interface MapOptions {
  /** How many calls may be under way at the same time; the order of the results stays. Default 1. */
  concurrency?: number;
  /** Of the random numbers that `transform` is given. Default: drawn anew for each pass, see `setSeed`. */
  seed?: number;
}

export interface ShuffleOptions {
  /** Makes every pass's order a function of the seed and the number of the pass. Default: drawn anew, see `setSeed`. */
  seed?: number;
  /** Whether each pass gets another order. Default true. */
  reshuffle?: boolean;
}

export interface BatchOptions {
  /** Leaves out the last batch where it is smaller. Default false. */
  dropRemainder?: boolean;
  /**
   * How plain numbers become tensors: `'auto'` (default) is int32 where all numbers of a batch are integers, as labels
   * are, and float32 otherwise.
   */
  scalars?: Scalars;
}

/** What a Dataset can be made of: items, or a function that gives them anew for each pass. */
export type DatasetSource<T> = pipeline.AnyIterable<T> | (() => pipeline.AnyIterable<T>);

/**
 * A sequence of items that is read pass by pass: `for await (const item of dataset)` is one pass. Nothing is kept but
 * what `shuffle`, `prefetch` and `cache` keep, and nothing runs before a pass asks for it.
 *
 * Tensors in the items belong to whoever reads them, who disposes them. Stages do the same: `map` disposes the tensors
 * of its argument that its result does not have, `filter` and `skip` those of the items they drop, `batch` those of its
 * samples, and leaving a pass early disposes all that was made ahead.
 */
export class Dataset<T> implements AsyncIterable<T> {
  /** The number of items of a pass, where it is known without one; Infinity for an endless `repeat()`. */
  readonly size: number | undefined;
  readonly #open: pipeline.Open<T>;

  protected constructor(open: pipeline.Open<T>, size: number | undefined) {
    this.#open = open;
    this.size = size;
  }

  /**
   * @param source an array or another collection, an async iterable, or a function that gives one of these for each
   *   pass, such as a generator function. Tensors in a collection stay its own: what is read are tensors that share their
   *   memory. A generator can be read only once; pass the generator function for more.
   */
  static from<T>(source: DatasetSource<T>): Dataset<T> {
    if (typeof source === 'function') return new Dataset(() => pipeline.items(source()), undefined);
    if (isOneShot(source as object | null)) return new Dataset(once(source), undefined);
    if (isCollection(source)) return new Dataset(() => pipeline.borrowed(source), countOf(source));
    if (Symbol.asyncIterator in Object(source)) return new Dataset(() => pipeline.items(source), undefined);
    throw new ConvgradError(
      'ERR_VALUE',
      `Dataset.from wants items or a function that gives them, got ${String(source)}`,
    );
  }

  /** Items of several data sets side by side, as long as the shortest: tuples of them, or objects with the same names. */
  static zip<A extends readonly Dataset<unknown>[]>(
    datasets: readonly [...A],
  ): Dataset<{ [K in keyof A]: ItemOf<A[K]> }>;
  static zip<O extends Readonly<Record<string, Dataset<unknown>>>>(
    datasets: O,
  ): Dataset<{ [K in keyof O]: ItemOf<O[K]> }>;
  static zip(datasets: readonly Dataset<unknown>[] | Readonly<Record<string, Dataset<unknown>>>): Dataset<unknown> {
    const members = Object.values(datasets) as Dataset<unknown>[];
    const sizes = members.map(({ size }) => size);
    const size = sizes.includes(undefined) ? undefined : Math.min(...(sizes as number[]));
    const rows = () => pipeline.zipped(members.map((member) => member.#open));
    if (Array.isArray(datasets)) return new Dataset(rows, size);
    const keys = Object.keys(datasets);
    return new Dataset(rows, size).map((row) => Object.fromEntries(keys.map((key, i) => [key, row[i]])));
  }

  [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    return this.#open();
  }

  /**
   * What `transform` makes of each item. It gets the item, its number in the pass, and random numbers that depend on the
   * seed, the number of the pass and the number of the item alone, however many calls are under way.
   * @throws what `transform` throws, with the number of the sample, and its `path` if it has one, before the message
   */
  map<U>(
    transform: (item: T, index: number, random: Random) => U | Promise<U>,
    { concurrency = 1, seed }: MapOptions = {},
  ): Dataset<U> {
    checkCount(concurrency, 1, 'map: concurrency');
    let passes = 0;
    const open = () => {
      const [passSeed, pass] = [seed ?? freshSeed(), passes++];
      const call = (item: T, index: number) => transform(item, index, streamOf(passSeed, pass, index));
      return pipeline.mapped(this.#open, pipeline.namingSample(call), concurrency);
    };
    return new Dataset(open, this.size);
  }

  /** The items for which `predicate` is true. */
  filter(predicate: (item: T, index: number) => boolean | Promise<boolean>): Dataset<T> {
    return new Dataset(() => pipeline.filtered(this.#open, pipeline.namingSample(predicate)), undefined);
  }

  /**
   * Passes items on in random order, another one in each pass. It holds `bufferSize` items and draws from them: with the
   * size of the data set, or more, every order is equally likely. Shuffle before decoding, where items are small.
   */
  shuffle(bufferSize: number, { seed, reshuffle = true }: ShuffleOptions = {}): Dataset<T> {
    checkCount(bufferSize, 1, 'shuffle: bufferSize');
    let passes = 0;
    const firstSeed = seed ?? (reshuffle ? undefined : freshSeed());
    const open = () => {
      const pass = reshuffle ? passes++ : 0;
      return pipeline.shuffled(this.#open, bufferSize, streamOf(firstSeed ?? freshSeed(), pass));
    };
    return new Dataset(open, this.size);
  }

  /**
   * Stacks the samples, `size` at a time, along a new first axis. A sample is a tuple, an object, or one member; members
   * are tensors, typed arrays (vectors), `{data, shape}`, nested arrays of numbers (float32), numbers (see `scalars`)
   * and booleans (uint8). All samples of a batch must have the same shapes. The result has the form of a sample: `[x, y]`
   * becomes `[Tensor, Tensor]`.
   * @throws ERR_SHAPE, ERR_VALUE naming the member and the sample that do not fit
   */
  batch(size: number, { dropRemainder = false, scalars = 'auto' }: BatchOptions = {}): Dataset<Collated<T>> {
    checkCount(size, 1, 'batch: size');
    const round = dropRemainder ? Math.floor : Math.ceil;
    const groups = () => pipeline.grouped(this.#open, size, dropRemainder);
    const stack = (samples: T[], index: number) => collate(samples, scalars, index * size);
    return new Dataset(
      () => pipeline.mapped(groups, stack, 1),
      this.size === undefined ? undefined : round(this.size / size),
    );
  }

  /** Makes up to `count` items ahead while the reader is busy with one. */
  prefetch(count: number): Dataset<T> {
    checkCount(count, 1, 'prefetch: count');
    return new Dataset(() => pipeline.prefetched(this.#open, count), this.size);
  }

  /** The first `count` items. */
  take(count: number): Dataset<T> {
    checkCount(count, 0, 'take: count');
    return new Dataset(() => pipeline.taken(this.#open, count), this.size && Math.min(this.size, count));
  }

  /** All but the first `count` items. */
  skip(count: number): Dataset<T> {
    checkCount(count, 0, 'skip: count');
    return new Dataset(() => pipeline.skipped(this.#open, count), this.size && Math.max(0, this.size - count));
  }

  /** `count` passes, one after the other, as one. Default: without end. */
  repeat(count = Infinity): Dataset<T> {
    if (count !== Infinity) checkCount(count, 0, 'repeat: count');
    const size = this.size === 0 || count === 0 ? 0 : this.size && this.size * count;
    return new Dataset(() => pipeline.repeated(this.#open, count), size);
  }

  /** The items of this data set, then those of the others. */
  concat(...others: readonly Dataset<T>[]): Dataset<T> {
    const all = [this, ...others];
    const size = all.reduce<number | undefined>(
      (sum, { size }) => (sum === undefined || size === undefined ? undefined : sum + size),
      0,
    );
    return new Dataset(() => pipeline.concatenated(all.map((dataset) => dataset.#open)), size);
  }

  /** Keeps the items of the first whole pass in memory, and reads them from there in the ones that follow. */
  cache(): Dataset<T> {
    let kept: T[] | undefined;
    const open = this.#open;
    async function* filling(): AsyncGenerator<T, void, undefined> {
      const items: T[] = [];
      try {
        for await (const item of open()) {
          items.push(cloneTensors(item));
          yield item;
        }
        kept ??= items.splice(0);
      } finally {
        disposeTensors(items);
      }
    }
    return new Dataset(() => (kept ? pipeline.borrowed(kept) : filling()), this.size);
  }

  /** All items of one pass. */
  async toArray(): Promise<T[]> {
    const items: T[] = [];
    try {
      for await (const item of this) items.push(item);
    } catch (error) {
      disposeTensors(items);
      throw error;
    }
    return items;
  }
}

type ItemOf<D> = D extends Dataset<infer T> ? T : never;

/** Generators, and iterators in general, give themselves again and again. */
function isOneShot(source: { next?: unknown } | null): boolean {
  return typeof source?.next === 'function';
}

function isCollection<T>(source: pipeline.AnyIterable<T>): source is Iterable<T> {
  return Symbol.iterator in Object(source);
}

function once<T>(source: pipeline.AnyIterable<T>): pipeline.Open<T> {
  let isRead = false;
  return () => {
    if (isRead) {
      throw new ConvgradError(
        'ERR_STATE',
        'Dataset.from was given a generator, which can be read only once: pass the generator function, or use cache()',
      );
    }
    isRead = true;
    return pipeline.items(source);
  };
}

function countOf(source: object): number | undefined {
  const { length, size } = source as { length?: unknown; size?: unknown };
  const count = length ?? size;
  return typeof count === 'number' ? count : undefined;
}

function checkCount(count: number, least: number, what: string): void {
  if (Number.isSafeInteger(count) && count >= least) return;
  throw new ConvgradError('ERR_VALUE', `${what} must be an integer of at least ${least}, got ${count}`);
}
