import { ConvgradError } from './errors';
import { keep } from './memory';
import { native, type DType, type RandomFunction } from './native';
import { full, Tensor, tensor, type Shape } from './tensor';

/**
 * A stream of random numbers: Philox 4x32-10, so the numbers are the same on every device, for every number of threads
 * and every instruction set. Its state is on the device (an int32 [4]: the seed's low and high word, and the number of
 * 128-bit blocks used), where the ops read and advance it; so a recorded step draws new numbers each time.
 *
 * A second stream, for the host, serves shuffling and augmentation without waiting for the device.
 */
export class Generator {
  /** @internal */
  readonly state: Tensor<'int32'>;
  #seed = 0;
  #hostBlock = 0;

  /** @param seed an integer from 0 to 2^53 - 1; default: one that nobody can guess */
  constructor(seed: number = freshSeed()) {
    this.state = keep(full([4], 0, 'int32'));
    this.seed = seed;
  }

  get seed(): number {
    return this.#seed;
  }

  /** Starts both streams anew. */
  set seed(seed: number) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new ConvgradError('ERR_VALUE', `seed must be an integer from 0 to 2^53 - 1, got ${seed}`);
    }
    const words = tensor(Int32Array.of(...wordsOf(seed), 0, 0));
    this.state.assign(words);
    words.dispose();
    this.#seed = seed;
    this.#hostBlock = 0;
  }

  /** `count` numbers for the host, uniform in [0, 1): multiples of 2^-32. */
  hostUniform(count: number): Float64Array {
    return Float64Array.from(this.#hostWords(count), (word) => word / 2 ** 32);
  }

  /** A random order of the integers from 0 to count - 1. */
  hostPermutation(count: number): Int32Array {
    const order = Int32Array.from({ length: count }, (_, i) => i);
    const numbers = this.hostUniform(count);
    for (let i = count - 1; i > 0; i--) {
      const j = Math.floor(numbers[i]! * (i + 1));
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order;
  }

  /** Where the streams are, to go on from there later: see `loadStateDict`. The tensors are the caller's. */
  stateDict(): Map<string, Tensor<DType>> {
    const host = Int32Array.of(...wordsOf(this.#seed), ...wordsOf(this.#hostBlock));
    const device = full([4], 0, 'int32').assign(this.state);
    return new Map<string, Tensor<DType>>([
      ['device', device],
      ['host', tensor(host)],
    ]);
  }

  /** Goes on where `stateDict` was taken. Waits for the tensors' data. */
  loadStateDict(state: ReadonlyMap<string, Tensor<DType>>): void {
    const [device, host] = ['device', 'host'].map((name) => {
      const words = state.get(name);
      if (words?.dtype !== 'int32' || words.size !== 4) {
        throw new ConvgradError('ERR_VALUE', `loadStateDict: the state of a generator has an int32 [4] named ${name}`);
      }
      return words as Tensor<'int32'>;
    }) as [Tensor<'int32'>, Tensor<'int32'>];
    this.state.assign(device);
    const words = Array.from(host.dataSync(), (word) => word >>> 0);
    this.#seed = words[0]! + words[1]! * 2 ** 32;
    this.#hostBlock = words[2]! + words[3]! * 2 ** 32;
  }

  dispose(): void {
    this.state.dispose();
  }

  #hostWords(count: number): Uint32Array {
    const words = native.randomWords(...wordsOf(this.#seed), this.#hostBlock, count);
    this.#hostBlock += Math.ceil(count / 4);
    return words;
  }
}

function wordsOf(value: number): [low: number, high: number] {
  return [value | 0, Math.floor(value / 2 ** 32) | 0];
}

function freshSeed(): number {
  return Math.floor(Math.random() * 2 ** 53);
}

let shared: Generator | undefined;

/** The generator that everything uses that is not given one of its own. */
export function defaultGenerator(): Generator {
  return (shared ??= new Generator());
}

/** Makes what follows repeat, bit by bit: initial weights, dropout, shuffling, augmentation. */
export function setSeed(seed: number): void {
  defaultGenerator().seed = seed;
}

export interface RandomOptions {
  /** Default: the shared one, see `setSeed`. */
  generator?: Generator;
}

function draw<D extends DType>(fn: RandomFunction, shape: Shape, a: number, b: number, generator?: Generator) {
  return new Tensor<D>(native.random((generator ?? defaultGenerator()).state.handle, fn, shape, a, b));
}

/** Uniform in [low, high), by default [0, 1). */
export function randomUniform(
  shape: Shape,
  { low = 0, high = 1, generator }: RandomOptions & { low?: number; high?: number } = {},
): Tensor {
  return draw('uniform', shape, low, high, generator);
}

export interface NormalOptions extends RandomOptions {
  /** Default 0. */
  mean?: number;
  /** Standard deviation. Default 1. */
  std?: number;
}

/** Normally distributed. */
export function randomNormal(shape: Shape, { mean = 0, std = 1, generator }: NormalOptions = {}): Tensor {
  return draw('normal', shape, mean, std, generator);
}

/** Normally distributed, without the values further than two standard deviations from the mean (`std` is that before). */
export function truncatedNormal(shape: Shape, { mean = 0, std = 1, generator }: NormalOptions = {}): Tensor {
  return draw('truncatedNormal', shape, mean, std, generator);
}

/** 1 with the given probability, else 0. */
export function bernoulli(shape: Shape, probability: number, { generator }: RandomOptions = {}): Tensor {
  return draw('bernoulli', shape, probability, 0, generator);
}

/** Integers in [low, high). */
export function randomInt(shape: Shape, low: number, high: number, { generator }: RandomOptions = {}): Tensor<'int32'> {
  return draw<'int32'>('integers', shape, low, high, generator);
}
