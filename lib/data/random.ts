import { ConvgradError } from '../errors';

/** Gives the next number, uniform in [0, 1). */
export type Random = () => number;

/**
 * Numbers of their own for everything that has a place in a data set: `streamOf(seed, epoch, index)` is always the same
 * sequence, whatever else was drawn, in whatever order. That makes augmentation repeat with any number of workers.
 *
 * Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), a block of four numbers per
 * counter: the key is the seed, the counter is the place and the number of the block.
 * @param seed an integer of up to 53 bits
 * @param place up to two integers below 2^32
 */
export function streamOf(seed: number, ...place: readonly [number?, number?]): Random {
  if (!Number.isSafeInteger(seed)) {
    throw new ConvgradError('ERR_VALUE', `seed must be an integer of at most 53 bits, got ${seed}`);
  }
  const [epoch = 0, index = 0] = place;
  const key = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0] as const;
  let block: readonly number[] = [];
  let used = 0;
  let blocks = 0;
  return () => {
    if (used === block.length) {
      block = philox([blocks++, 0, index, epoch], key);
      used = 0;
    }
    return block[used++]! / 2 ** 32;
  };
}

/** @internal Four numbers of 32 bits from a counter and a key. */
export function philox(counter: readonly number[], key: readonly [number, number]): number[] {
  let [c0, c1, c2, c3] = counter as [number, number, number, number];
  let [k0, k1] = key;
  for (let round = 0; round < 10; ++round) {
    const [high0, low0] = multiply(0xd2511f53, c0);
    const [high1, low1] = multiply(0xcd9e8d57, c2);
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** The high and the low word of a product of two 32-bit words. */
function multiply(a: number, b: number): [number, number] {
  const low = Math.imul(a, b) >>> 0;
  // The sum of the partial products stays below 2^53.
  const middle = (a >>> 16) * (b & 0xffff) + ((((a & 0xffff) * (b & 0xffff)) / 65536) | 0);
  const carry = (a & 0xffff) * (b >>> 16) + (middle % 65536);
  return [((a >>> 16) * (b >>> 16) + Math.floor(middle / 65536) + Math.floor(carry / 65536)) >>> 0, low];
}

/** A seed for whoever was given none. */
export function freshSeed(): number {
  return Math.floor(Math.random() * 2 ** 53);
}
