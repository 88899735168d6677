import { ConvgradError } from '../errors';
import type { Outcome } from './history';

/** Losses and metrics by name. Callbacks may add to the logs of an epoch: what they add goes into the history. */
export type Logs = Record<string, number>;

/** A training run, as callbacks see it. */
export interface TrainingRun {
  /** Epochs are counted from 0; this is one more than the last one that will run. */
  readonly epochs: number;
  readonly initialEpoch: number;
  /** Batches an epoch; undefined while the data does not tell. */
  readonly steps: number | undefined;
  readonly batchSize: number | undefined;
  /** The optimizer's learning rate. Setting it takes effect from the next step. */
  learningRate: number;
  /** How the run ended; undefined while it goes on. */
  readonly outcome: Outcome | undefined;
  /** Ends the run after the step, or the epoch, that is being reported. */
  stop(reason: string): void;
  /** Copies of the model's parameters and buffers. Whoever takes them disposes them. */
  copyWeights(): WeightsCopy;
  /** Writes the model and the optimizer to a file that `loadModel` reads; only the weights with `weightsOnly`. */
  save(path: string, options?: { weightsOnly?: boolean }): Promise<void>;
}

/** The weights of a model at some moment. */
export interface WeightsCopy {
  /** Gives the model these weights back. */
  restore(): void;
  dispose(): void;
}

/**
 * What happens during training besides training. An object with any of these methods is a callback. They may be async:
 * training waits for them. What one throws ends the run and comes out of `fit`.
 */
export interface Callback {
  /** Before the first epoch. */
  onTrainBegin?(run: TrainingRun): void | Promise<void>;
  /** Before the batches of an epoch, counted from 0: the place to set the learning rate. */
  onEpochBegin?(epoch: number, run: TrainingRun): void | Promise<void>;
  /** Before a step is put into the queue; steps are counted from 0 in every epoch. */
  onBatchBegin?(step: number, run: TrainingRun): void | Promise<void>;
  /**
   * The results of a step are there; `logs` are means over the epoch so far, `size` is the number of samples of the
   * batch. The device works ahead: the next step or two are under way at this moment.
   */
  onBatchEnd?(step: number, logs: Readonly<Logs>, run: TrainingRun, size: number): void | Promise<void>;
  /** No step is under way, and validation is done. */
  onEpochEnd?(epoch: number, logs: Logs, run: TrainingRun): void | Promise<void>;
  /**
   * Is called once for each callback whose `onTrainBegin` was called, however the run ended (see `run.outcome`): the place
   * to close files.
   */
  onTrainEnd?(run: TrainingRun): void | Promise<void>;
}

const METHODS: readonly string[] = [
  'onTrainBegin',
  'onEpochBegin',
  'onBatchBegin',
  'onBatchEnd',
  'onEpochEnd',
  'onTrainEnd',
] satisfies (keyof Callback)[];

/** Throws ERR_VALUE for what is no list of callbacks: a method of a wrong name would never be called. */
export function checkCallbacks(callbacks: readonly Callback[], what: string): void {
  if (!Array.isArray(callbacks)) {
    throw new ConvgradError('ERR_VALUE', `${what}: callbacks must be a list, got ${String(callbacks)}`);
  }
  for (const [i, callback] of callbacks.entries()) {
    if (METHODS.some((name) => name in Object(callback))) continue;
    throw new ConvgradError('ERR_VALUE', `${what}: callbacks[${i}] has none of the methods ${METHODS.join(', ')}`);
  }
}

/** Calls several callbacks in order. */
export class CallbackList {
  private begun: Callback[] = [];

  constructor(
    private readonly callbacks: readonly Callback[],
    private readonly run: TrainingRun,
  ) {}

  async trainBegin(): Promise<void> {
    for (const callback of this.callbacks) {
      this.begun.push(callback);
      await callback.onTrainBegin?.(this.run);
    }
  }

  async epochBegin(epoch: number): Promise<void> {
    for (const callback of this.callbacks) await callback.onEpochBegin?.(epoch, this.run);
  }

  async batchBegin(step: number): Promise<void> {
    for (const callback of this.callbacks) await callback.onBatchBegin?.(step, this.run);
  }

  async batchEnd(step: number, logs: Readonly<Logs>, size: number): Promise<void> {
    for (const callback of this.callbacks) await callback.onBatchEnd?.(step, logs, this.run, size);
  }

  async epochEnd(epoch: number, logs: Logs): Promise<void> {
    for (const callback of this.callbacks) await callback.onEpochEnd?.(epoch, logs, this.run);
  }

  /** Every callback gets its turn, even when one before it fails; then the first failure is thrown. */
  async trainEnd(): Promise<void> {
    const failures: unknown[] = [];
    for (const callback of this.begun.splice(0)) {
      try {
        await callback.onTrainEnd?.(this.run);
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
