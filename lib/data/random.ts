import { ConvgradError } from '../errors';
import { native } from '../native';
import { defaultGenerator } from '../random';

/** Gives the next number, uniform in [0, 1). */
export type Random = () => number;

/** Numbers that are fetched at a time; few transforms need more. */
const fetched = 16;

/**
 * Numbers of their own for everything that has a place in a data set: `streamOf(seed, epoch, index)` is always the same
 * sequence, whatever else was drawn, in whatever order. That makes augmentation repeat with any number of workers.
 * @param seed from 0 to 2^53 - 1
 * @param epoch below 2^21
 * @param index below 2^32
 */
export function streamOf(seed: number, epoch = 0, index = 0): Random {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new ConvgradError('ERR_VALUE', `seed must be an integer from 0 to 2^53 - 1, got ${seed}`);
  }
  let key: readonly [number, number] | undefined;
  let words: Uint32Array = new Uint32Array();
  let used = 0;
  let block = 0;
  return () => {
    if (used === words.length) {
      // The seed's generator gives a key to each place, and that key's generator gives the numbers.
      key ??= firstTwo(native.randomWords(...wordsOf(seed), epoch * 2 ** 32 + index, 2));
      words = native.randomWords(...key, block, fetched);
      block += fetched / 4;
      used = 0;
    }
    return words[used++]! / 2 ** 32;
  };
}

/** A seed for whoever was given none, see `setSeed`. */
export function freshSeed(): number {
  const [high, low] = defaultGenerator().hostUniform(2);
  return Math.floor(high! * 2 ** 21) * 2 ** 32 + low! * 2 ** 32;
}

function wordsOf(seed: number): [low: number, high: number] {
  return [seed | 0, Math.floor(seed / 2 ** 32) | 0];
}

function firstTwo([low, high]: Uint32Array): [number, number] {
  return [low! | 0, high! | 0];
}
