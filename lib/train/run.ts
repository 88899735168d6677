import { keep } from '../memory';
import type { Module } from '../nn';
import { zeros, type DType, type Tensor } from '../tensor';
import type { Batch, BatchSource } from './batches';
import { CallbackList, type Callback, type Logs, type TrainingRun, type WeightsCopy } from './callback';
import { History, type Outcome } from './history';
import type { Meters, Reading } from './meters';
import { runSteps } from './stepLoop';

/** What a run needs of the trainer. */
export interface Training {
  readonly model: Module;
  learningRate: number;
  newMeters(): Meters;
  step(batch: Batch, meters: Meters): Reading;
  /** The losses and metrics of the validation data; undefined when there is none. */
  validate: ((signal: AbortSignal | undefined) => Promise<Logs>) | undefined;
  /** The number of the next epoch that this model has seen, over all runs. */
  nextPass(): number;
  save(path: string, options?: { weightsOnly?: boolean }): Promise<void>;
  /** Called after every step (with false) and every epoch (with true), when learning rates change. */
  schedule(isEpoch: boolean): void;
}

export interface RunOptions {
  epochs: number;
  initialEpoch: number;
  stepsPerEpoch: number | undefined;
  signal: AbortSignal | undefined;
}

/** One call of `fit`: the loop over the epochs, and what callbacks see of it. */
export class Run implements TrainingRun {
  readonly epochs: number;
  readonly initialEpoch: number;
  readonly steps: number | undefined;
  readonly batchSize: number | undefined;
  outcome: Outcome | undefined;
  private readonly history: History;
  private readonly batches: AsyncIterator<Batch> | undefined;

  constructor(
    private readonly training: Training,
    private readonly source: BatchSource,
    private readonly options: RunOptions,
  ) {
    this.epochs = options.epochs;
    this.initialEpoch = options.initialEpoch;
    this.steps = options.stepsPerEpoch ?? source.steps;
    this.batchSize = source.batchSize;
    this.history = new History({ epochs: this.epochs, steps: this.steps, batchSize: this.batchSize });
    if (options.stepsPerEpoch !== undefined) this.batches = endless(source, () => training.nextPass());
  }

  get learningRate(): number {
    return this.training.learningRate;
  }

  set learningRate(rate: number) {
    this.training.learningRate = rate;
  }

  stop(reason: string): void {
    this.history.stopReason ??= reason;
  }

  copyWeights(): WeightsCopy {
    return new CopiedWeights(this.training.model);
  }

  save(path: string, options?: { weightsOnly?: boolean }): Promise<void> {
    return this.training.save(path, options);
  }

  /** Trains. Whatever happens, every callback that began gets its end. */
  async train(callbacks: readonly Callback[]): Promise<History> {
    const list = new CallbackList(callbacks, this);
    try {
      await list.trainBegin();
      await this.trainEpochs(list);
      this.outcome = this.isAborted ? 'aborted' : this.isStopped ? 'stopped' : 'completed';
      this.history.aborted = this.isAborted;
    } catch (error) {
      this.outcome = 'failed';
      await list.trainEnd().catch(() => undefined); // what failed first is what matters
      throw error;
    } finally {
      await this.batches?.return?.();
    }
    await list.trainEnd();
    return this.history;
  }

  private get isStopped(): boolean {
    return this.history.stopReason !== undefined;
  }

  private get isAborted(): boolean {
    return this.options.signal?.aborted === true;
  }

  private async trainEpochs(callbacks: CallbackList): Promise<void> {
    for (let epoch = this.initialEpoch; epoch < this.epochs && !this.isStopped && !this.isAborted; epoch++) {
      await callbacks.epochBegin(epoch);
      const logs = await this.trainEpoch(callbacks);
      if (this.isAborted) return;
      for (const [name, value] of Object.entries((await this.training.validate?.(this.options.signal)) ?? {})) {
        logs[`val_${name}`] = value;
      }
      if (this.isAborted) return;
      this.training.schedule(true);
      await callbacks.epochEnd(epoch, logs);
      this.history.add(epoch, logs);
    }
  }

  private async trainEpoch(callbacks: CallbackList): Promise<Logs> {
    const { training } = this;
    const meters = training.newMeters();
    await runSteps({
      what: this.source.what,
      batches: this.batches ? taken(this.batches, this.steps!) : this.source.pass(training.nextPass()),
      begin: (step) => callbacks.batchBegin(step),
      enqueue: (batch) => {
        const reading = training.step(batch, meters);
        training.schedule(false);
        return reading;
      },
      arrived: async (reading, step) => {
        await meters.add(reading);
        await callbacks.batchEnd(step, meters.logs(false), reading.size);
      },
      isOver: () => this.isStopped || this.isAborted,
    });
    return meters.logs(true);
  }
}

/** One pass after the other. */
async function* endless(source: BatchSource, nextPass: () => number): AsyncGenerator<Batch, void, undefined> {
  for (;;) yield* source.pass(nextPass());
}

/** The next `count` items; the iterator stays open. */
async function* taken<T>(iterator: AsyncIterator<T>, count: number): AsyncGenerator<T, void, undefined> {
  for (let i = 0; i < count; i++) {
    const next = await iterator.next();
    if (next.done) return;
    yield next.value;
  }
}

/** The tensors of a model's state, copied on the device. */
class CopiedWeights implements WeightsCopy {
  private readonly copies: [original: Tensor<DType>, copy: Tensor<DType>][];

  constructor(model: Module) {
    this.copies = Array.from(model.stateDict().values(), (original) => [
      original,
      keep(zeros(original.shape, original.dtype).assign(original)),
    ]);
  }

  restore(): void {
    for (const [original, copy] of this.copies) original.assign(copy);
  }

  dispose(): void {
    for (const [, copy] of this.copies) copy.dispose();
  }
}
