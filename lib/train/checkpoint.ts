import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { synchronize } from '../device';
import { ConvgradError } from '../errors';
import { readSafetensors, writeSafetensors } from '../formats';
import { fromConfig, toConfig, type LoadReport, type Module, type ModuleConfig } from '../nn';
import { defaultGenerator } from '../random';
import type { DType, Tensor } from '../tensor';
import type { Trainer, TrainerState } from './trainer';
import { trainingConfig, type TrainingConfig } from './trainingConfig';

/**
 * A model is one safetensors file. The weights have the names of the model's `stateDict()`, so that it is also a file of
 * weights; what else there is has a prefix that no weight can have. The JSON is in the file's metadata.
 */
const OPTIMIZER = 'optimizer:';
const RANDOM = 'random:';
const METADATA_KEY = 'convgrad';
const VERSION = 1;

interface Manifest {
  version: number;
  /** How to make the model; absent for classes of one's own that are not registered. */
  model?: ModuleConfig;
  training?: TrainingConfig;
  trainer?: TrainerState;
}

type Tensors = Map<string, Tensor<DType>>;

/** What a file of a model holds. */
interface Contents {
  manifest: Manifest;
  weights: Tensors;
  optimizer: Tensors;
  random: Tensors;
}

/** Writes what `Trainer.save` promises. */
export async function saveCheckpoint(path: string, trainer: Trainer, weightsOnly: boolean): Promise<void> {
  if (weightsOnly) return await saveWeights(trainer.model, path);
  const manifest: Manifest = { version: VERSION, trainer: trainer.state };
  const model = configOf(trainer.model);
  if (model) manifest.model = model;
  const training = trainingConfig(trainer);
  if (training) manifest.training = training;
  const random = defaultGenerator().stateDict();
  const optimizer = trainer.optimizer.stateDict();
  try {
    await write(path, manifest, { weights: trainer.model.stateDict(), optimizer, random });
  } finally {
    for (const owned of random.values()) owned.dispose();
  }
}

/**
 * Writes a model that has no optimizer, so that `loadModel` can read it. Models that were compiled save themselves.
 * @throws ERR_STATE naming what cannot be written: see `nn.registerModule`
 */
export async function saveModel(model: Module, path: string): Promise<void> {
  await write(path, { version: VERSION, model: toConfig(model) }, { weights: model.stateDict() });
}

/** Writes the weights of a module alone. */
export async function saveWeights(model: Module, path: string): Promise<void> {
  await write(path, { version: VERSION }, { weights: model.stateDict() });
}

/**
 * Reads weights into a module, from a file of `saveWeights` or of a whole model.
 * @param options `strict`: whether every weight must find its place and every place its weight. Default true
 * @throws ERR_FORMAT naming the file when it is damaged, or does not fit the model
 */
export async function loadWeights(
  model: Module,
  path: string,
  options: { strict?: boolean } = {},
): Promise<LoadReport> {
  return await withContents(path, ({ weights }) => loadInto(model, weights, path, options));
}

/**
 * Reads the state of a run into a trainer whose model is of the same kind: weights, optimizer, and the place in the
 * sequence of random numbers. Training then goes on as if it had never been interrupted.
 */
export async function loadCheckpoint(path: string, trainer: Trainer): Promise<void> {
  await withContents(path, async (contents) => {
    loadInto(trainer.model, contents.weights, path, {});
    await synchronize(); // what follows reads numbers, and must not block until then
    restoreTraining(contents, trainer, path);
    restoreRandom(contents, path);
  });
}

/** What a file says of the model and its training: for `loadModel`. The callback gets them with their weights. */
export async function readModel<R>(
  path: string,
  use: (model: Module, training: TrainingConfig | undefined, restore: (trainer: Trainer) => void) => R,
  { resume }: { resume: boolean },
): Promise<R> {
  return await withContents(path, async (contents) => {
    const { model: config, training } = contents.manifest;
    if (!config) {
      const advice = 'make the model yourself, and read the file with loadWeights() or Trainer.load()';
      throw new ConvgradError('ERR_FORMAT', `${path} holds weights, but no model: ${advice}`);
    }
    const model = naming(path, () => fromConfig(config));
    loadInto(model, contents.weights, path, {});
    await synchronize(); // what follows reads numbers, and must not block until then
    const result = naming(path, () => use(model, training, (trainer) => restoreTraining(contents, trainer, path)));
    if (resume) restoreRandom(contents, path);
    return result;
  });
}

function configOf(model: Module): ModuleConfig | undefined {
  try {
    return toConfig(model);
  } catch (error) {
    // A class of one's own that is not registered: the file then has its weights only.
    if (error instanceof ConvgradError && error.code === 'ERR_STATE') return undefined;
    throw error;
  }
}

function loadInto(model: Module, weights: Tensors, path: string, options: { strict?: boolean }): LoadReport {
  return naming(path, () => model.loadStateDict(weights, options));
}

function restoreTraining({ manifest, optimizer }: Contents, trainer: Trainer, path: string): void {
  if (optimizer.size > 0) naming(path, () => trainer.optimizer.loadStateDict(optimizer));
  if (manifest.trainer) trainer.state = manifest.trainer;
}

function restoreRandom({ random }: Contents, path: string): void {
  if (random.size > 0) naming(path, () => defaultGenerator().loadStateDict(random));
}

/** Errors about what a file says become errors of the file. */
function naming<R>(path: string, body: () => R): R {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof ConvgradError) || error.message.startsWith(path)) throw error;
    throw new ConvgradError('ERR_FORMAT', `${path}: ${error.message}`, { cause: error });
  }
}

async function write(
  path: string,
  manifest: Manifest,
  { weights, optimizer, random }: { weights: Tensors; optimizer?: Tensors; random?: Tensors },
): Promise<void> {
  const prefixed = (prefix: string, tensors: Tensors = new Map()): [string, Tensor<DType>][] =>
    Array.from(tensors, ([name, value]) => [prefix + name, value]);
  const all = new Map([...weights, ...prefixed(OPTIMIZER, optimizer), ...prefixed(RANDOM, random)]);
  await mkdir(dirname(path), { recursive: true });
  await writeSafetensors(path, all, { [METADATA_KEY]: JSON.stringify(manifest) });
}

async function withContents<R>(path: string, use: (contents: Contents) => R | Promise<R>): Promise<R> {
  const { tensors, metadata } = await readSafetensors(path);
  try {
    const contents: Contents = {
      manifest: manifestOf(metadata[METADATA_KEY], path),
      weights: new Map(),
      optimizer: new Map(),
      random: new Map(),
    };
    for (const [name, value] of tensors) {
      if (name.startsWith(OPTIMIZER)) contents.optimizer.set(name.slice(OPTIMIZER.length), value);
      else if (name.startsWith(RANDOM)) contents.random.set(name.slice(RANDOM.length), value);
      else contents.weights.set(name, value);
    }
    return await use(contents);
  } finally {
    for (const loaded of tensors.values()) loaded.dispose();
  }
}

/** Weights from elsewhere have no manifest. */
function manifestOf(json: string | undefined, path: string): Manifest {
  if (json === undefined) return { version: VERSION };
  let manifest: unknown;
  try {
    manifest = JSON.parse(json);
  } catch (error) {
    throw new ConvgradError('ERR_FORMAT', `${path}: its metadata '${METADATA_KEY}' is not JSON`, { cause: error });
  }
  const version = (manifest as Partial<Manifest> | null)?.version;
  if (version !== VERSION) {
    throw new ConvgradError('ERR_FORMAT', `${path}: format version ${version} is not known, only ${VERSION} is`);
  }
  return manifest as Manifest;
}
