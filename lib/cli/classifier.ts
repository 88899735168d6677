import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { ConvgradError } from '../errors';
import { recoverFolder, writeFolderAtomic } from '../formats/atomicWrite';
import {
  activation,
  batchNormalization,
  conv2d,
  dense,
  dropout,
  globalAveragePooling2d,
  maxPooling2d,
} from '../layers';
import { Sequential } from '../nn';
import { loadModel } from '../train';

const FORMAT = 'convgrad classifier';
const VERSION = 1;
const DESCRIPTION = 'classifier.json';
const MODEL = 'model.safetensors';

/** What `convgrad train` was asked for, so that `--resume` can go on. */
export interface TrainingSettings {
  epochs: number;
  batchSize: number;
  learningRate: number;
  optimizer: 'adam' | 'adamw' | 'sgd' | 'rmsprop';
  seed: number;
  validationSplit: number;
  augment: boolean;
  /** Epochs without improvement after which training stops; null: it does not. */
  earlyStopping: number | null;
}

export interface TrainingRecord {
  settings: TrainingSettings;
  epochsDone: number;
  /** By name, a value an epoch. */
  history: Record<string, number[]>;
}

/** A model with all that it needs to tell what is on a photo. */
export interface Classifier {
  model: Sequential;
  /** In the order of the model's outputs. */
  classNames: readonly string[];
  /** Images are resized to size × size pixels, RGB, 0 … 1. */
  size: number;
  training: TrainingRecord;
}

/**
 * A small convolutional network for photos: four blocks of convolution, batch norm, ReLU and pooling, then the mean of each
 * channel. [N, size, size, 3] → [N, classes], probabilities.
 */
export function smallCnn(size: number, classes: number): Sequential {
  const block = (filters: number, first: boolean) => [
    conv2d({ filters, kernelSize: 3, padding: 'same', useBias: false, ...(first && { inputShape: [size, size, 3] }) }),
    batchNormalization({ momentum: 0.9 }), // small data sets have few steps
    activation({ activation: 'relu' }),
    maxPooling2d({ poolSize: 2 }),
  ];
  return new Sequential([
    ...[16, 32, 64, 128].flatMap((filters, i) => block(filters, i === 0)),
    globalAveragePooling2d(),
    dropout({ rate: 0.2 }),
    dense({ units: classes, activation: 'softmax' }),
  ]);
}

/**
 * Writes the classifier as a folder, so that a crash leaves the old one whole.
 * @throws ERR_VALUE when the folder is there and holds something else, which is not replaced
 */
export async function saveClassifier(folder: string, { model, classNames, size, training }: Classifier): Promise<void> {
  const description = { format: FORMAT, version: VERSION, classNames, size, training };
  await mkdir(dirname(resolve(folder)), { recursive: true });
  await writeFolderAtomic(folder, async (temporary) => {
    await model.save(join(temporary, MODEL));
    await writeFile(join(temporary, DESCRIPTION), `${JSON.stringify(description, null, 2)}\n`);
  });
}

/** Throws ERR_VALUE when the path is taken by anything but a classifier: that is not to be overwritten. */
export async function checkReplaceable(folder: string): Promise<void> {
  await recoverFolder(folder);
  if (!(await exists(folder)) || (await exists(join(folder, DESCRIPTION)))) return;
  throw new ConvgradError('ERR_VALUE', `${folder} exists and is no model of convgrad: choose another --out`);
}

/**
 * @param resume whether the random numbers of the process go on where they were when the classifier was saved
 * @throws ERR_FORMAT when the folder is no classifier
 */
export async function loadClassifier(folder: string, { resume = false } = {}): Promise<Classifier> {
  await recoverFolder(folder);
  const file = join(folder, DESCRIPTION);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new ConvgradError('ERR_FORMAT', `${folder} is no model made by \`convgrad train\`: there is no ${file}`, {
      cause: error,
    });
  }
  const { classNames, size, training } = parse(text, file);
  const model = await loadModel(join(folder, MODEL), { resume });
  return { model: model as Sequential, classNames, size, training };
}

function parse(text: string, file: string): Omit<Classifier, 'model'> {
  let description: Partial<Classifier & { format: string; version: number }>;
  try {
    description = JSON.parse(text) as typeof description;
  } catch (error) {
    throw new ConvgradError('ERR_FORMAT', `${file}: ${(error as Error).message}`, { cause: error });
  }
  const { format, version, classNames, size, training } = description;
  if (format !== FORMAT || version !== VERSION) {
    throw new ConvgradError(
      'ERR_FORMAT',
      `${file}: wanted ${FORMAT} version ${VERSION}, got ${format} version ${version}`,
    );
  }
  return { classNames: classNames!, size: size!, training: training! };
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
