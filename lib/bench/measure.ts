import { synchronize } from '../device';
import { native } from '../native';

export interface MeasureOptions {
  /** Milliseconds to spend after the warm-up. Default 300. */
  budget?: number;
  /** Calls before anything is measured. Default 3. */
  warmUp?: number;
}

/**
 * The median time of a call of `body` in milliseconds, its work on the device included. Short bodies run several times between
 * two looks at the clock, so that waiting for the device does not count.
 */
export async function measure(body: () => unknown, { budget = 300, warmUp = 3 }: MeasureOptions = {}): Promise<number> {
  const time = async (repeats: number): Promise<number> => {
    const start = performance.now();
    for (let i = 0; i < repeats; i++) await body();
    await synchronize();
    return (performance.now() - start) / repeats;
  };
  const repeats = Math.max(1, Math.round(5 / (await time(warmUp))));
  const samples: number[] = [];
  const deadline = performance.now() + budget;
  do samples.push(await time(repeats));
  while (performance.now() < deadline || samples.length < 5);
  return median(samples);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** GFLOP/s that this machine reaches in registers, with the threads in use: what kernels are held against. */
export function measurePeak(): number {
  return native.measurePeak(300) / 1e9;
}
