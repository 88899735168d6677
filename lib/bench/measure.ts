import { native } from '../native';
import { synchronize } from '../device';

export interface Measurement {
  /** Median milliseconds of one call. */
  ms: number;
  /** How many calls the median is of. */
  runs: number;
}

export interface MeasureOptions {
  /** Milliseconds to spend after the warm-up. Default 300. */
  budget?: number;
  /** Calls before anything is measured. Default 3. */
  warmUp?: number;
}

/**
 * The median time of `body`, until its work on the device is done. Short bodies are run several times between two looks at
 * the clock, so that waiting for the device does not count.
 */
export async function measure(body: () => void | Promise<void>, options: MeasureOptions = {}): Promise<Measurement> {
  const { budget = 300, warmUp = 3 } = options;
  const time = async (repeats: number): Promise<number> => {
    const start = performance.now();
    for (let i = 0; i < repeats; i++) await body();
    await synchronize();
    return (performance.now() - start) / repeats;
  };
  const first = await time(warmUp);
  const repeats = Math.max(1, Math.round(5 / first));
  const samples: number[] = [];
  const deadline = performance.now() + budget;
  do samples.push(await time(repeats));
  while (performance.now() < deadline || samples.length < 5);
  return { ms: median(samples), runs: samples.length * repeats };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** float32 operations a second that this machine reaches in registers, with the threads in use. */
export function measurePeak(): number {
  return native.measurePeak(300);
}
