import { expect } from 'vitest';
import { Tensor, type DType } from '../../lib';

type Numbers = ArrayLike<number>;

export interface Tolerance {
  /** Allowed |actual - expected|, as a fraction of the largest |expected| (or of `scale`). Default 1e-5. */
  relative?: number;
  /** Allowed |actual - expected| in any case. Default 0. */
  absolute?: number;
  /** What `relative` is a fraction of, where cancellation makes the results smaller than their terms: Σ|a·b|. */
  scale?: number;
}

/** Fails unless every element is within the tolerance; NaN is equal to NaN only. `context` (a seed, a shape) goes into the message. */
export function expectClose(
  actual: Tensor<DType> | Numbers,
  expected: Numbers,
  tolerance: Tolerance = {},
  context = '',
): void {
  const values = actual instanceof Tensor ? actual.dataSync() : actual;
  expect(values.length, `${context}: number of elements`).toBe(expected.length);
  const { relative = 1e-5, absolute = 0 } = tolerance;
  let scale = tolerance.scale ?? 0;
  if (tolerance.scale === undefined) {
    for (let i = 0; i < expected.length; i++)
      if (Number.isFinite(expected[i]!)) scale = Math.max(scale, Math.abs(expected[i]!));
  }
  const limit = relative * scale + absolute;
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [values[i]!, expected[i]!];
    if (Object.is(a, e) || (Number.isNaN(a) && Number.isNaN(e)) || a === e) continue;
    if (!(Math.abs(a - e) <= limit)) {
      expect.fail(`${context}: element ${i} is ${a}, expected ${e} ± ${limit}`);
    }
  }
}

/** Fails unless every element is the same number (NaN included, 0 and -0 alike). */
export function expectExact(actual: Tensor<DType> | Numbers, expected: Numbers, context = ''): void {
  expectClose(actual, expected, { relative: 0 }, context);
}

/** Runs `body` and returns the error it throws; fails when it throws none. */
export function errorOf(body: () => unknown): Error & { code?: string } {
  try {
    body();
  } catch (error) {
    return error as Error & { code?: string };
  }
  return expect.fail('expected an error, none was thrown');
}
