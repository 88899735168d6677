import { ConvgradError } from '../errors';
import { Graph, Sequential, type Module, type OneOrMany, type SymbolicTensor } from '../nn';
import type { Tensor } from '../tensor';
import type { Inputs } from './batches';
import type { Logs } from './callback';
import { readModel, saveModel } from './checkpoint';
import type { BatchDataset } from './datasetBatches';
import type { History } from './history';
import type { BatchOptions, EvaluateOptions, FitOptions, TrainerOptions } from './options';
import { outputShapeOf } from './outputShape';
import { predict, type PredictOptions } from './predict';
import type { ArrayInput } from './rows';
import { Trainer } from './trainer';
import { fromTrainingConfig } from './trainingConfig';

/** What Keras's models do besides computing: `Sequential` and functional models have it. */
export interface TrainableModel {
  /**
   * Says how the model is trained. Names are Keras's, in camelCase or snake_case. A model that ends in a softmax and is
   * trained with a cross-entropy is trained from its logits, which is exact; predictions and metrics see probabilities.
   * @throws ERR_VALUE for a name that is not known, with the nearest one that is
   */
  compile(options: TrainerOptions): this;
  /** Trains, see `Trainer.fit`. Throws ERR_STATE before `compile`. */
  fit(x: Inputs, y: ArrayInput, options?: FitOptions): Promise<History>;
  fit(dataset: BatchDataset, options?: FitOptions): Promise<History>;
  /** The loss and the metrics by name, see `Trainer.evaluate`. Throws ERR_STATE before `compile`. */
  evaluate(x: Inputs, y: ArrayInput, options?: EvaluateOptions): Promise<Logs>;
  evaluate(dataset: BatchDataset, options?: EvaluateOptions): Promise<Logs>;
  /** What the model gives for x, see `Trainer.predict`. It need not be compiled. */
  predict(x: Inputs | BatchDataset<unknown>, options?: PredictOptions): Promise<Tensor>;
  /** One step on one batch: the loss before it, and the metrics. */
  trainOnBatch(x: Inputs, y: ArrayInput, options?: BatchOptions): Promise<Logs>;
  /** The loss and the metrics of one batch. */
  testOnBatch(x: Inputs, y: ArrayInput, options?: BatchOptions): Promise<Logs>;
  /**
   * Writes the model, and if it is compiled the optimizer, to one file: see `loadModel`. A crash leaves an older file
   * whole.
   */
  save(path: string): Promise<void>;
  /** What trains this model. Throws ERR_STATE before `compile`. */
  readonly trainer: Trainer;
}

declare module '../nn/sequential' {
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- merges the methods that are installed below
  interface Sequential extends TrainableModel {}
}

declare module '../nn/graph' {
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type, @typescript-eslint/no-unused-vars -- as above
  interface Graph<O extends OneOrMany<SymbolicTensor> = OneOrMany<SymbolicTensor>> extends TrainableModel {}
}

const trainers = new WeakMap<Module, Trainer>();

function trainerOf(model: Module, method: string): Trainer {
  const trainer = trainers.get(model);
  if (trainer) return trainer;
  throw new ConvgradError('ERR_STATE', `${method}: the model is not compiled: call compile({ optimizer, loss }) first`);
}

const methods: ThisType<Module> &
  Omit<TrainableModel, 'trainer' | 'compile'> & { compile(options: TrainerOptions): Module } = {
  compile(options: TrainerOptions) {
    trainers.set(this, new Trainer(this, options, 'compile'));
    return this;
  },
  async fit(...args: unknown[]) {
    return await trainerOf(this, 'fit').fit(...(args as Parameters<Trainer['fit']>));
  },
  async evaluate(...args: unknown[]) {
    return await trainerOf(this, 'evaluate').evaluate(...(args as Parameters<Trainer['evaluate']>));
  },
  async predict(x, options = {}) {
    return await (trainers.get(this)?.predict(x, options) ?? predict(this, x, options, outputShapeOf(this)));
  },
  async trainOnBatch(x, y, options) {
    return await trainerOf(this, 'trainOnBatch').trainOnBatch(x, y, options);
  },
  async testOnBatch(x, y, options) {
    return await trainerOf(this, 'testOnBatch').testOnBatch(x, y, options);
  },
  async save(path) {
    await (trainers.get(this)?.save(path) ?? saveModel(this, path));
  },
};

for (const { prototype } of [Sequential, Graph]) {
  Object.assign(prototype, methods);
  Object.defineProperty(prototype, 'trainer', {
    get(this: Module) {
      return trainerOf(this, 'trainer');
    },
  });
}

/** A functional model (Keras `Model`): layers that branch and join, between `input()`s and outputs. */
export function model<O extends OneOrMany<SymbolicTensor>>(options: {
  inputs: OneOrMany<SymbolicTensor>;
  outputs: O;
  name?: string;
}): Graph<O> {
  return new Graph(options);
}

export interface LoadModelOptions {
  /**
   * Also sets the random numbers of the whole process to where they were, so that training goes on bit for bit as it would
   * have. Default false.
   */
  resume?: boolean;
}

/**
 * Reads a model that `save` wrote: with its weights, and compiled with the optimizer's state if it was, unless its loss
 * or a metric was a function, which no file can hold. Classes of one's own must be known, see `nn.registerModule`.
 * @throws ERR_FORMAT naming the file when it is damaged or holds no model
 */
export async function loadModel(
  path: string,
  { resume = false }: LoadModelOptions = {},
): Promise<Module & TrainableModel> {
  return await readModel(
    path,
    (loaded, training, restore) => {
      if (!(loaded instanceof Sequential || loaded instanceof Graph)) {
        const advice = 'use Trainer and loadWeights() with it';
        throw new ConvgradError('ERR_FORMAT', `${path} holds a ${loaded.type}, which is not a Keras model: ${advice}`);
      }
      if (training) {
        loaded.compile(fromTrainingConfig(training));
        restore(loaded.trainer);
      }
      return loaded as Module & TrainableModel;
    },
    { resume },
  );
}
