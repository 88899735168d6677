import { ConvgradError } from '../errors';
import { disposeBatch, type Batch } from './batches';
import type { Reading } from './meters';

/** The device works on one step while JavaScript prepares the next: more would only lengthen the queue. */
const MOST_UNDER_WAY = 2;

export interface StepLoop {
  /** Where the batches come from, for errors. */
  readonly what: string;
  readonly batches: AsyncIterable<Batch>;
  /** Called before a step is enqueued. */
  begin?(index: number): Promise<void>;
  /** Enqueues a step. */
  enqueue(batch: Batch): Reading;
  /** The results of a step are there. */
  arrived(reading: Reading, index: number): Promise<void>;
  /** Whether to begin no more steps. */
  isOver(): boolean;
}

interface Step {
  index: number;
  reading: Reading;
}

/**
 * Runs steps until there are no more batches, or `isOver`. Returns when none is under way.
 * @throws what a step threw, with its number in front: also when the device found it later, while the next step was
 *   being enqueued. Steps after the failing one were skipped by the device.
 */
export async function runSteps(loop: StepLoop): Promise<void> {
  const underWay: Step[] = [];
  const settleOldest = async (): Promise<void> => {
    const { reading, index } = underWay[0]!;
    await reading.values;
    underWay.shift();
    await loop.arrived(reading, index);
  };
  let index = 0;
  try {
    for await (const batch of loop.batches) {
      try {
        if (loop.isOver()) break;
        await loop.begin?.(index);
        underWay.push({ index, reading: enqueued(loop, batch, index) });
      } finally {
        disposeBatch(batch);
      }
      index += 1;
      if (underWay.length === MOST_UNDER_WAY) await settleOldest();
      if (loop.isOver()) break;
    }
    while (underWay.length > 0) await settleOldest();
  } catch (error) {
    throw (await failureOf(underWay, loop.what)) ?? error;
  }
}

function enqueued(loop: StepLoop, batch: Batch, index: number): Reading {
  try {
    return loop.enqueue(batch);
  } catch (error) {
    throw located(error, loop.what, index);
  }
}

/** The first of these steps that failed is what went wrong, whatever else was seen of it. */
async function failureOf(steps: readonly Step[], what: string): Promise<unknown> {
  let failure: unknown;
  for (const { reading, index } of steps) {
    await reading.values.catch((error: unknown) => (failure ??= located(error, what, index)));
  }
  return failure;
}

function located(error: unknown, what: string, index: number): unknown {
  if (!(error instanceof ConvgradError)) return error;
  return new ConvgradError(error.code, `${what}: step ${index}: ${error.message}`, { cause: error });
}
