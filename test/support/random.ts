import { tensor, type Tensor } from '../../lib';

/**
 * Numbers for one test, fresh in every run. The seed goes into every failure message (`data.seed`); set
 * CONVGRAD_TEST_SEED to run with it again.
 */
export class TestData {
  readonly seed: number;
  private state: number;

  constructor(seed = Number(process.env['CONVGRAD_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31))) {
    this.seed = seed;
    this.state = seed | 0;
  }

  /** Uniform in [0, 1): the generator "mulberry32". */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let z = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  }

  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** float32 values uniform in [low, high). */
  floats(count: number, low = -1, high = 1): Float32Array {
    return Float32Array.from({ length: count }, () => low + (high - low) * this.next());
  }

  /** Integers in [low, high] as float32: sums and products of few of them are exact. */
  integers(count: number, low = -3, high = 3): Float32Array {
    return Float32Array.from({ length: count }, () => this.integer(low, high));
  }

  tensor(shape: readonly number[], low = -1, high = 1): Tensor {
    return tensor(
      this.floats(
        shape.reduce((a, b) => a * b, 1),
        low,
        high,
      ),
      shape,
    );
  }
}
