import type { Optimizer } from '../optim';
import { ConvgradError } from '../errors';
import { checkOptions } from '../names';
import type { Inputs } from './batches';
import { checkCallbacks, type Callback } from './callback';
import type { ClassWeight } from './classWeights';
import type { BatchDataset } from './datasetBatches';
import type { LossLike } from './losses';
import type { MetricLike } from './metrics';
import type { OptimizerLike } from './optimizers';
import { checkBatchSize } from './predict';
import type { Verbose } from './progress';
import type { ArrayInput } from './rows';

export interface TrainerOptions {
  /** A name ('adam'), a name with options, an optimizer, or a function that makes one from the model's parameters. */
  optimizer: OptimizerLike;
  /** A name ('sparseCategoricalCrossentropy'), one of `losses`, a module such as `nn.CrossEntropyLoss`, or a function. */
  loss: LossLike;
  /** Names ('accuracy'), metrics, or functions of predictions and labels that give one number for a batch. */
  metrics?: readonly MetricLike[];
  /** The gradients of all parameters together are scaled down to this norm when theirs is larger. */
  clipNorm?: number;
  /**
   * Whether steps and predictions that repeat are recorded and replayed with planned memory, see `capture`: the numbers are
   * the same, bit for bit. Default true.
   */
  capture?: boolean;
}

/** What a schedule of `optim` is here. */
export interface Stepping {
  step(): void;
}

export interface FitOptions {
  /** Passes over the data. Default 1. */
  epochs?: number;
  /** The number of the first epoch, for a run that goes on with an earlier one. Default 0. */
  initialEpoch?: number;
  /** Samples of a step, for arrays: a data set makes its own batches. Default 32. */
  batchSize?: number;
  /** Whether arrays are shuffled anew for every epoch. Default true. */
  shuffle?: boolean;
  /** Steps after which an epoch ends; the next one goes on from there. Default: with the data. */
  stepsPerEpoch?: number;
  /** What is evaluated after every epoch: [x, y], [x, y, sampleWeight] or a data set. */
  validationData?: readonly [x: Inputs, y: ArrayInput, sampleWeight?: ArrayInput] | BatchDataset;
  /** The fraction of the arrays, taken from their end before they are shuffled, that is used as validation data. */
  validationSplit?: number;
  /** What happens besides, in this order. See `Callback`. */
  callbacks?: readonly Callback[];
  /** How much each class counts in the loss. */
  classWeight?: ClassWeight;
  /** How much each sample counts in the loss. */
  sampleWeight?: ArrayInput;
  /** Default 'auto': a progress bar on a terminal, one line an epoch elsewhere, on stderr. 0 is silent. */
  verbose?: Verbose | boolean;
  /** Ends the run after the step that is under way. `fit` then resolves, with `aborted` set in the history. */
  signal?: AbortSignal;
  /** A learning-rate schedule, or a function that makes it: `(optimizer) => new optim.StepLR(optimizer, { stepSize: 10 })`. */
  schedule?: Stepping | ((optimizer: Optimizer) => Stepping);
  /** Whether the schedule goes on after every epoch (the default) or after every step. */
  scheduleBy?: 'epoch' | 'step';
}

export interface BatchOptions {
  /** How much each class counts in the loss. */
  classWeight?: ClassWeight;
  /** How much each sample counts in the loss. */
  sampleWeight?: ArrayInput;
}

export interface EvaluateOptions {
  /** Samples that are computed together, for arrays. Default 32. */
  batchSize?: number;
  /** How much each sample counts in the loss. */
  sampleWeight?: ArrayInput;
  /** Ends the evaluation early: the results are those of the batches until then. */
  signal?: AbortSignal;
}

const TRAINER_OPTIONS = Object.keys({
  optimizer: true,
  loss: true,
  metrics: true,
  clipNorm: true,
  capture: true,
} satisfies Record<keyof TrainerOptions, true>);

/** @throws ERR_VALUE naming the option; names and objects are looked at where they are used */
export function checkTrainerOptions(options: TrainerOptions, method: string): void {
  checkOptions(options, TRAINER_OPTIONS, method);
  const { metrics = [], clipNorm } = options;
  if (!Array.isArray(metrics)) {
    throw new ConvgradError('ERR_VALUE', `${method}: metrics must be a list, got ${String(metrics)}`);
  }
  if (clipNorm !== undefined && !(clipNorm > 0)) {
    throw new ConvgradError('ERR_VALUE', `${method}: clipNorm must be above 0, got ${clipNorm}`);
  }
}

const FIT_OPTIONS = Object.keys({
  epochs: true,
  initialEpoch: true,
  batchSize: true,
  shuffle: true,
  stepsPerEpoch: true,
  validationData: true,
  validationSplit: true,
  callbacks: true,
  classWeight: true,
  sampleWeight: true,
  verbose: true,
  signal: true,
  schedule: true,
  scheduleBy: true,
} satisfies Record<keyof FitOptions, true>);

/** @throws ERR_VALUE naming the option */
export function checkFitOptions(options: FitOptions): void {
  checkOptions(options, FIT_OPTIONS, 'fit');
  const {
    epochs = 1,
    initialEpoch = 0,
    stepsPerEpoch = 1,
    batchSize = 32,
    validationSplit = 0,
    validationData,
    callbacks = [],
    signal,
  } = options;
  checkBatchSize(batchSize, 'fit');
  checkCallbacks(callbacks, 'fit');
  if (signal !== undefined && typeof (signal as Partial<AbortSignal> | null)?.aborted !== 'boolean') {
    throw new ConvgradError('ERR_VALUE', `fit: signal must be an AbortSignal, got ${String(signal)}`);
  }
  const counts: [name: string, value: number, least: number][] = [
    ['epochs', epochs, 0],
    ['initialEpoch', initialEpoch, 0],
    ['stepsPerEpoch', stepsPerEpoch, 1],
  ];
  for (const [name, value, least] of counts) {
    if (Number.isSafeInteger(value) && value >= least) continue;
    throw new ConvgradError('ERR_VALUE', `fit: ${name} must be an integer of at least ${least}, got ${value}`);
  }
  if (!(validationSplit >= 0 && validationSplit < 1)) {
    throw new ConvgradError('ERR_VALUE', `fit: validationSplit must be from 0 to below 1, got ${validationSplit}`);
  }
  if (validationSplit > 0 && validationData !== undefined) {
    throw new ConvgradError('ERR_VALUE', 'fit: give validationData or validationSplit, not both');
  }
}
