/**
 * The stages of a Dataset, as async generators. What holds for all of them:
 * - A stage opens what it reads from when its first item is asked for, and closes it when it is left early.
 * - Whoever receives an item owns the tensors in it. A stage that drops an item disposes them.
 */
import { setImmediate } from 'node:timers/promises';
import { ConvgradError } from '../errors';
import type { Random } from './random';
import { cloneTensors, disposeTensors } from './structure';

/** Starts one pass over the items. */
export type Open<T> = () => AsyncGenerator<T, void, undefined>;
export type AnyIterable<T> = Iterable<T> | AsyncIterable<T>;

/** The event loop gets a turn when items have been coming for this long without one. */
const longestTurn = 8;
let turnBegan = 0;

/** Items that come without waiting for anything come in microtasks, which would keep the event loop out. */
function isTurnOver(): boolean {
  return performance.now() - turnBegan > longestTurn;
}

async function nextTurn(): Promise<void> {
  await setImmediate();
  turnBegan = performance.now();
}

export async function* items<T>(iterable: AnyIterable<T>): AsyncGenerator<T, void, undefined> {
  for await (const item of iterable) {
    if (isTurnOver()) await nextTurn();
    yield item;
  }
}

/** Items that stay with whoever holds them: what is passed on are tensors that share their memory. */
export async function* borrowed<T>(held: Iterable<T>): AsyncGenerator<T, void, undefined> {
  for await (const item of items(held)) yield cloneTensors(item);
}

/** In order, with up to `concurrency` calls of `transform` under way. */
export async function* mapped<T, U>(
  open: Open<T>,
  transform: (item: T, index: number) => U | Promise<U>,
  concurrency: number,
): AsyncGenerator<U, void, undefined> {
  const source = open();
  const underWay: Promise<U>[] = [];
  try {
    for (let index = 0, ended = false; ;) {
      while (!ended && underWay.length < concurrency) {
        const next = await source.next();
        if (next.done) ended = true;
        else underWay.push(settledLater(transformed(next.value, index++, transform)));
      }
      if (underWay.length === 0) return;
      yield await underWay.shift()!;
    }
  } finally {
    await source.return();
    await disposeAll(underWay);
  }
}

async function transformed<T, U>(
  item: T,
  index: number,
  transform: (item: T, index: number) => U | Promise<U>,
): Promise<U> {
  let result: U | undefined;
  try {
    if (isTurnOver()) await nextTurn();
    return (result = await transform(item, index));
  } finally {
    disposeTensors(item, result);
  }
}

/** The same function, whose errors say which sample it was given. */
export function namingSample<T, R>(call: (item: T, index: number) => R | Promise<R>) {
  return async (item: T, index: number): Promise<R> => {
    try {
      return await call(item, index);
    } catch (error) {
      if (!(error instanceof Error) || error.name === 'AbortError') throw error;
      const path = typeof item === 'object' && item !== null && 'path' in item ? ` (${String(item.path)})` : '';
      const code = error instanceof ConvgradError ? error.code : 'ERR_VALUE';
      throw new ConvgradError(code, `sample ${index}${path}: ${error.message}`, { cause: error });
    }
  };
}

export async function* filtered<T>(
  open: Open<T>,
  predicate: (item: T, index: number) => boolean | Promise<boolean>,
): AsyncGenerator<T, void, undefined> {
  let index = 0;
  for await (const item of open()) {
    let keep = false;
    try {
      if (isTurnOver()) await nextTurn();
      keep = await predicate(item, index++);
    } finally {
      if (!keep) disposeTensors(item);
    }
    if (keep) yield item;
  }
}

/** Holds `capacity` items and passes on one of them at random, for each that comes in. */
export async function* shuffled<T>(
  open: Open<T>,
  capacity: number,
  random: Random,
): AsyncGenerator<T, void, undefined> {
  const held: T[] = [];
  const takeOne = (): T => {
    const index = Math.floor(random() * held.length);
    const last = held.pop()!;
    if (index === held.length) return last;
    const taken = held[index]!;
    held[index] = last;
    return taken;
  };
  try {
    for await (const item of open()) {
      held.push(item);
      if (held.length > capacity) yield takeOne();
    }
    while (held.length > 0) yield takeOne();
  } finally {
    disposeTensors(held);
  }
}

/** In order, with up to `count` items made ahead. */
export async function* prefetched<T>(open: Open<T>, count: number): AsyncGenerator<T, void, undefined> {
  const source = open();
  let left = false;
  // Each pull waits for the one before, so that leaving early waits for one of them and not for all.
  let last: Promise<IteratorResult<T, void>> = Promise.resolve({ done: false, value: undefined as T });
  const pull = () =>
    (last = settledLater(
      last.then((before) => (left || before.done ? { done: true as const, value: undefined } : source.next())),
    ));
  const ahead = Array.from({ length: count }, pull);
  try {
    for (;;) {
      const next = await ahead.shift()!;
      if (next.done) return;
      ahead.push(pull());
      yield next.value;
    }
  } finally {
    left = true;
    await disposeAll(ahead);
    await source.return();
  }
}

export async function* taken<T>(open: Open<T>, count: number): AsyncGenerator<T, void, undefined> {
  let left = count;
  if (left === 0) return;
  for await (const item of open()) {
    yield item;
    if (--left === 0) return;
  }
}

export async function* skipped<T>(open: Open<T>, count: number): AsyncGenerator<T, void, undefined> {
  let left = count;
  for await (const item of open()) {
    if (left-- > 0) disposeTensors(item);
    else yield item;
  }
}

/** Pass after pass, until there were `count` or one was empty. */
export async function* repeated<T>(open: Open<T>, count: number): AsyncGenerator<T, void, undefined> {
  for (let pass = 0; pass < count; ++pass) {
    let isEmpty = true;
    for await (const item of open()) {
      isEmpty = false;
      yield item;
    }
    if (isEmpty) return;
  }
}

export async function* concatenated<T>(opens: readonly Open<T>[]): AsyncGenerator<T, void, undefined> {
  for (const open of opens) yield* open();
}

/** Groups of `size` items; the last one may be smaller, unless it is dropped. */
export async function* grouped<T>(
  open: Open<T>,
  size: number,
  dropRemainder: boolean,
): AsyncGenerator<T[], void, undefined> {
  let group: T[] = [];
  try {
    for await (const item of open()) {
      group.push(item);
      if (group.length < size) continue;
      const full = group;
      group = [];
      yield full;
    }
    if (dropRemainder || group.length === 0) return;
    const rest = group;
    group = [];
    yield rest;
  } finally {
    disposeTensors(group);
  }
}

/** One item of each source at a time, until one of them ends. */
export async function* zipped<T>(opens: readonly Open<T>[]): AsyncGenerator<T[], void, undefined> {
  const sources = opens.map((open) => open());
  try {
    for (;;) {
      const results = await Promise.allSettled(sources.map((source) => source.next()));
      const row = results.flatMap((result) =>
        result.status === 'fulfilled' && !result.value.done ? [result.value.value] : [],
      );
      if (row.length === sources.length) {
        yield row;
        continue;
      }
      disposeTensors(row);
      const failure = results.find((result) => result.status === 'rejected');
      if (failure) throw failure.reason;
      return;
    }
  } finally {
    await Promise.all(sources.map((source) => source.return()));
  }
}

/** A failure waits for whoever awaits the promise; until then it is not an unhandled one. */
function settledLater<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/** Waits for items that nobody will take, and disposes them. Their failures are nobody's either. */
async function disposeAll(promises: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises)) {
    if (result.status === 'fulfilled') disposeTensors(result.value);
  }
}
