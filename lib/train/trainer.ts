import { freshSeed } from '../data/random';
import { ConvgradError } from '../errors';
import type { Module } from '../nn';
import type { Optimizer } from '../optim';
import type { Tensor } from '../tensor';
import {
  ArrayBatches,
  columnsOf,
  partOf,
  type Batch,
  type BatchSource,
  type Columns,
  type Inputs,
  type OutputShape,
} from './batches';
import type { Logs } from './callback';
import { loadCheckpoint, saveCheckpoint } from './checkpoint';
import type { ClassWeight } from './classWeights';
import { DatasetBatches, isDataset, type BatchDataset } from './datasetBatches';
import type { History } from './history';
import { resolveLoss, type Loss } from './losses';
import { Meters, type Reading } from './meters';
import { resolveMetric, type Metric } from './metrics';
import { planOptimizer, type OptimizerPlan } from './optimizers';
import { outputShapeOf } from './outputShape';
import {
  checkFitOptions,
  checkTrainerOptions,
  type BatchOptions,
  type EvaluateOptions,
  type FitOptions,
  type TrainerOptions,
} from './options';
import { checkBatchSize, predict, type PredictOptions } from './predict';
import { progressFor } from './progress';
import type { ArrayInput } from './rows';
import { Run, type Training } from './run';
import { Steps } from './step';
import { runSteps } from './stepLoop';

/** What a trainer knows besides the model and the optimizer: the place in the sequence of random orders. */
export interface TrainerState {
  seed: number;
  /** Epochs that the model was trained for, over all runs. */
  passes: number;
}

/**
 * Trains and evaluates a module. Nothing in it waits for the device but with `await`, and everything that is random
 * follows from `setSeed`.
 *
 *     const trainer = new Trainer(model, { optimizer: 'adam', loss: 'crossEntropy', metrics: ['accuracy'] });
 *     await trainer.fit(images, labels, { epochs: 5, validationSplit: 0.1 });
 *     const { accuracy } = await trainer.evaluate(testImages, testLabels);
 *
 * Images are float32, or bytes, which are converted batch by batch. Arrays may be tensors, typed arrays, `{ data, shape }`
 * and nested arrays of numbers; several inputs are an array of tensors.
 */
export class Trainer {
  /** What is minimised. */
  readonly loss: Loss;
  /** What is measured besides. */
  readonly metrics: readonly Metric[];
  /** @internal */
  readonly optimizerPlan: OptimizerPlan;
  private madeOptimizer: Optimizer | undefined;
  private seed: number | undefined;
  private passes = 0;
  private isTraining = false;
  private readonly outputShape: OutputShape;
  private readonly steps: Steps;

  /** @param method what errors call the caller */
  constructor(
    readonly model: Module,
    readonly options: TrainerOptions,
    method = 'Trainer',
  ) {
    checkTrainerOptions(options, method);
    this.loss = resolveLoss(options.loss, `${method}: loss`);
    this.metrics = (options.metrics ?? []).map((metric) => resolveMetric(metric, this.loss, `${method}: metric`));
    this.outputShape = outputShapeOf(model);
    this.optimizerPlan = planOptimizer(options.optimizer, `${method}: optimizer`);
    const { clipNorm, capture = true } = options;
    const { loss } = this;
    this.steps = new Steps({
      model,
      loss,
      givenLoss: options.loss,
      optimizer: () => this.optimizer,
      clipNorm,
      capture,
    });
  }

  /** Made when it is first needed, since a model may not have weights before. */
  get optimizer(): Optimizer {
    return (this.madeOptimizer ??= this.optimizerPlan.make(this.model));
  }

  /**
   * Trains for some epochs.
   * @returns the losses and metrics of every epoch
   * @throws before anything is trained, when data, labels or options do not fit each other or the model: the error names
   *   the argument. What goes wrong in a step leaves the weights as they were before that step.
   */
  fit(x: Inputs, y: ArrayInput, options?: FitOptions): Promise<History>;
  fit(dataset: BatchDataset, options?: FitOptions): Promise<History>;
  async fit(x: Inputs | BatchDataset, second?: ArrayInput | FitOptions, third?: FitOptions): Promise<History> {
    const [y, options] = isDataset(x) ? [undefined, (second ?? {}) as FitOptions] : [second as ArrayInput, third ?? {}];
    const { epochs = 1, initialEpoch = 0, stepsPerEpoch, signal, schedule, scheduleBy = 'epoch' } = options;
    checkFitOptions(options);
    if (this.isTraining) throw new ConvgradError('ERR_STATE', 'fit: this model is being trained already');
    this.isTraining = true;
    const sources: BatchSource[] = [];
    try {
      const [training, validation] = await this.fitSources(x, y, options, sources);
      const run = new Run(this.forRun(validation, schedule, scheduleBy), training, {
        epochs,
        initialEpoch,
        stepsPerEpoch,
        signal,
      });
      const progress = progressFor(options.verbose ?? 'auto');
      return await run.train([...(options.callbacks ?? []), ...(progress ? [progress] : [])]);
    } finally {
      this.isTraining = false;
      for (const source of sources) source.dispose();
    }
  }

  /** The mean loss and the metrics, by name. The model is in inference mode. */
  evaluate(x: Inputs, y: ArrayInput, options?: EvaluateOptions): Promise<Logs>;
  evaluate(dataset: BatchDataset, options?: EvaluateOptions): Promise<Logs>;
  async evaluate(
    x: Inputs | BatchDataset,
    second?: ArrayInput | EvaluateOptions,
    third?: EvaluateOptions,
  ): Promise<Logs> {
    const [y, options] = isDataset(x) ? [undefined, second as EvaluateOptions] : [second as ArrayInput, third];
    const { batchSize = 32, sampleWeight, signal } = options ?? {};
    checkBatchSize(batchSize, 'evaluate');
    if (isDataset(x)) return await this.evaluated(this.fromDataset(x, 'evaluate: dataset'), signal);
    const columns = await this.columns(x, y, sampleWeight, argumentNames('evaluate'));
    return await this.evaluated(new ArrayBatches(columns, { batchSize, what: 'evaluate' }), signal);
  }

  /**
   * What the model gives for x, in inference mode: a tensor that is the caller's. Several predictions, and training, may
   * be under way at the same time.
   */
  predict(x: Inputs | BatchDataset<unknown>, options: PredictOptions = {}): Promise<Tensor> {
    return predict(this.model, x, { capture: this.options.capture ?? true, ...options }, this.outputShape);
  }

  /** One step on one batch. Gives the loss before the step, and the metrics. */
  async trainOnBatch(x: Inputs, y: ArrayInput, options: BatchOptions = {}): Promise<Logs> {
    return await this.onBatch('trainOnBatch', x, y, options, (batch, meters) => this.steps.train(batch, meters));
  }

  /** The loss and the metrics of one batch, in inference mode. */
  async testOnBatch(x: Inputs, y: ArrayInput, options: BatchOptions = {}): Promise<Logs> {
    return await this.onBatch('testOnBatch', x, y, options, (batch, meters) => this.steps.test(batch, meters));
  }

  /**
   * Writes the model, the optimizer, and where the run is in the sequence of random numbers, so that training goes on
   * exactly so from the file; see `loadModel`. A crash leaves an older file whole.
   */
  async save(path: string, options: { weightsOnly?: boolean } = {}): Promise<void> {
    await saveCheckpoint(path, this, options.weightsOnly ?? false);
  }

  /**
   * Goes on where `save` was called: reads the weights, the optimizer's state, and the state of the random numbers of the
   * whole process. The model must be of the same kind.
   * @throws ERR_FORMAT naming the file when it is damaged or does not fit
   */
  async load(path: string): Promise<void> {
    await loadCheckpoint(path, this);
  }

  /** @internal For checkpoints. */
  get state(): TrainerState {
    return { seed: this.shuffleSeed, passes: this.passes };
  }

  set state({ seed, passes }: TrainerState) {
    this.seed = seed;
    this.passes = passes;
  }

  private get shuffleSeed(): number {
    return (this.seed ??= freshSeed());
  }

  private async onBatch(
    what: string,
    x: Inputs,
    y: ArrayInput,
    { sampleWeight, classWeight }: BatchOptions,
    enqueue: (batch: Batch, meters: Meters) => Reading,
  ): Promise<Logs> {
    const columns = await this.columns(x, y, sampleWeight, argumentNames(what));
    const source = new ArrayBatches(columns, { batchSize: columns.target.count, classWeight, what });
    try {
      return await this.measured(source, undefined, enqueue);
    } finally {
      source.dispose();
    }
  }

  private async evaluated(source: BatchSource, signal: AbortSignal | undefined): Promise<Logs> {
    return await this.measured(source, signal, (batch, meters) => this.steps.test(batch, meters));
  }

  private async measured(
    source: BatchSource,
    signal: AbortSignal | undefined,
    enqueue: (batch: Batch, meters: Meters) => Reading,
  ): Promise<Logs> {
    const meters = new Meters(this.metrics);
    await runSteps({
      what: source.what,
      batches: source.pass(0),
      enqueue: (batch) => enqueue(batch, meters),
      arrived: (reading) => meters.add(reading),
      isOver: () => signal?.aborted === true,
    });
    return meters.logs(true);
  }

  /** What a run of `fit` may do with this trainer. */
  private forRun(
    validation: BatchSource | undefined,
    schedule: FitOptions['schedule'],
    scheduleBy: 'epoch' | 'step',
  ): Training {
    // The optimizer may have to wait for the first batch, which makes the weights.
    const optimizer = (): Optimizer => this.optimizer;
    let made: { step(): void } | undefined;
    return {
      model: this.model,
      get learningRate() {
        return optimizer().lr;
      },
      set learningRate(rate) {
        optimizer().lr = rate;
      },
      newMeters: () => new Meters(this.metrics),
      step: (batch, meters) => this.steps.train(batch, meters),
      validate: validation && ((signal) => this.evaluated(validation, signal)),
      nextPass: () => this.passes++,
      save: (path, options) => this.save(path, options),
      schedule: (isEpoch) => {
        if (isEpoch !== (scheduleBy === 'epoch')) return;
        made ??= typeof schedule === 'function' ? schedule(optimizer()) : schedule;
        made?.step();
      },
    };
  }

  /** The batches to train on, and those to validate on. What is made is put into `made`, to be disposed. */
  private async fitSources(
    x: Inputs | BatchDataset,
    y: ArrayInput | undefined,
    options: FitOptions,
    made: BatchSource[],
  ): Promise<[training: BatchSource, validation: BatchSource | undefined]> {
    const { batchSize = 32, shuffle = true, validationData, validationSplit, classWeight } = options;
    const add = <S extends BatchSource>(source: S): S => (made.push(source), source);
    const ofArrays = (columns: Columns, isTraining: boolean): BatchSource =>
      add(
        new ArrayBatches(columns, {
          batchSize,
          what: isTraining ? 'fit' : 'fit: validationData',
          ...(isTraining && { classWeight, ...(shuffle && { shuffleSeed: this.shuffleSeed }) }),
        }),
      );
    const validation = async (): Promise<BatchSource | undefined> => {
      if (validationData === undefined) return undefined;
      if (isDataset(validationData)) return add(this.fromDataset(validationData, 'fit: validationData'));
      const [vx, vy, weights] = validationData as readonly [Inputs, ArrayInput, ArrayInput?];
      const names = {
        x: 'fit: validationData[0]',
        y: 'fit: validationData[1]',
        sampleWeight: 'fit: validationData[2]',
      };
      return ofArrays(await this.columns(vx, vy, weights, names), false);
    };
    if (isDataset(x)) {
      if (options.sampleWeight !== undefined || validationSplit !== undefined) {
        const name = validationSplit === undefined ? 'sampleWeight' : 'validationSplit';
        throw new ConvgradError('ERR_VALUE', `fit: ${name} goes with arrays, not with a data set`);
      }
      const training = add(this.fromDataset(x, 'fit: dataset', classWeight));
      return [training, await validation()];
    }
    const columns = await this.columns(x, y, options.sampleWeight, argumentNames('fit'));
    if (validationSplit === undefined || validationSplit === 0) return [ofArrays(columns, true), await validation()];
    const { count } = columns.target;
    const split = Math.floor(count * (1 - validationSplit));
    if (split === 0 || split === count) {
      const part = split === 0 ? 'training' : 'validation';
      throw new ConvgradError(
        'ERR_VALUE',
        `fit: validationSplit ${validationSplit} of ${count} samples leaves none for ${part}`,
      );
    }
    return [ofArrays(partOf(columns, 0, split), true), ofArrays(partOf(columns, split, count), false)];
  }

  private fromDataset(dataset: BatchDataset, what: string, classWeight?: ClassWeight): DatasetBatches {
    return new DatasetBatches(dataset, what, this.loss, this.outputShape, classWeight);
  }

  private async columns(
    x: Inputs,
    y: ArrayInput | undefined,
    sampleWeight: ArrayInput | undefined,
    names: { x: string; y: string; sampleWeight: string },
  ): Promise<Columns> {
    if (y === undefined) throw new ConvgradError('ERR_VALUE', `${names.y} is missing`);
    return await columnsOf({ x, y, sampleWeight }, names, this.loss, this.outputShape);
  }
}

function argumentNames(method: string): { x: string; y: string; sampleWeight: string } {
  return { x: `${method}: x`, y: `${method}: y`, sampleWeight: `${method}: sampleWeight` };
}
