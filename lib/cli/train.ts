import { Option, type Command } from 'commander';
import { colorJitter, compose, imageFolder, randomAffine, type ImageFolderOptions } from '../data';
import { setThreads } from '../device';
import { ConvgradError } from '../errors';
import { setSeed } from '../random';
import { callbacks, type Callback } from '../train';
import {
  checkReplaceable,
  loadClassifier,
  saveClassifier,
  smallCnn,
  type Classifier,
  type TrainingSettings,
} from './classifier';
import { integer, number } from './options';
import { report, type GlobalOptions } from './output';

interface TrainOptions extends GlobalOptions, TrainingSettings {
  out: string;
  size: number;
  threads?: number;
  resume?: boolean;
  skipCorrupt?: boolean;
}

export function configure(command: Command): void {
  command
    .argument('<dir>', 'a folder with a folder of images for each class')
    .option('-o, --out <folder>', 'where to write the model', 'model')
    .option('-s, --size <pixels>', 'images are resized to a square of this side', integer(16), 64)
    .option('-e, --epochs <count>', 'passes over the images', integer(1), 40)
    .option('-b, --batch-size <count>', 'images in a step', integer(1), 16)
    .option('-l, --learning-rate <rate>', 'of the first epoch; it falls to 0 on a cosine', number(0), 0.003)
    .addOption(
      new Option('--optimizer <name>', 'what makes the steps')
        .choices(['adam', 'adamw', 'sgd', 'rmsprop'])
        .default('adam'),
    )
    .option('--validation-split <fraction>', 'part of each class to measure on and not train on', number(0, 1), 0.1)
    .option('--no-augment', 'train on the images as they are, not shifted, turned, zoomed and brightened at random')
    .option(
      '--early-stopping <epochs>',
      'stop when the validation loss has not fallen for so long; keep the best',
      integer(1),
    )
    .option('--seed <number>', 'the same seed gives the same model', integer(0), 1)
    .option('--threads <count>', 'default: one a core', integer(1))
    .option('--skip-corrupt', 'leave out images that cannot be decoded, and name them, instead of failing')
    .option('--resume', 'go on with the model in --out, with its settings where no others are given')
    .addHelpText(
      'after',
      `
The model is saved after every epoch. Ctrl-C stops after the step at work and saves; --resume goes on from there.

Examples:
  $ convgrad train photos
  $ convgrad train photos --out birds --size 96 --epochs 60 --early-stopping 10
  $ convgrad train photos --out birds --resume --epochs 100`,
    )
    .action((dir: string, options: TrainOptions) => train(dir, options, command));
}

/** What a run of `train` did. */
interface Outcome {
  model: string;
  classNames: readonly string[];
  images: { training: number; validation: number; skipped: string[] };
  /** All that the model has seen, those of earlier runs included. */
  epochs: number;
  interrupted: boolean;
  stopReason: string | null;
  history: Record<string, number[]>;
  seconds: number;
}

async function train(dir: string, options: TrainOptions, command: Command): Promise<void> {
  if (options.threads !== undefined) setThreads(options.threads);
  await checkReplaceable(options.out);
  const classifier = options.resume
    ? resumed(await loadClassifier(options.out, { resume: true }), options, command)
    : undefined;
  const settings = classifier?.training.settings ?? settingsOf(options);
  if (!classifier) setSeed(settings.seed);
  const images = await openImages(dir, settings, options, classifier);
  const outcome = await fit(
    classifier ?? newClassifier(images.training.classNames, settings, options),
    images,
    options,
  );
  report(outcome, describe(outcome), options);
}

function settingsOf(options: TrainOptions): TrainingSettings {
  const { epochs, batchSize, learningRate, optimizer, seed, validationSplit, augment, earlyStopping = null } = options;
  return { epochs, batchSize, learningRate, optimizer, seed, validationSplit, augment, earlyStopping };
}

/** The classifier with what was asked for now, and where nothing was, what was asked for then. */
function resumed(classifier: Classifier, options: TrainOptions, command: Command): Classifier {
  const isGiven = (name: string): boolean => command.getOptionValueSource(name) === 'cli';
  for (const name of ['size', 'optimizer', 'seed', 'validationSplit'] as const) {
    const was = name === 'size' ? classifier.size : classifier.training.settings[name];
    if (!isGiven(name) || options[name] === was) continue;
    throw new ConvgradError('ERR_VALUE', `--resume: ${name} cannot change from ${was} to ${options[name]}`);
  }
  const given = Object.entries(settingsOf(options)).filter(([name]) => isGiven(name));
  const settings = { ...classifier.training.settings, ...Object.fromEntries(given) };
  return { ...classifier, training: { ...classifier.training, settings } };
}

function newClassifier(classNames: readonly string[], settings: TrainingSettings, { size }: TrainOptions): Classifier {
  const model = smallCnn(size, classNames.length);
  const { optimizer, learningRate } = settings;
  model.compile({
    optimizer: { name: optimizer, learningRate },
    loss: 'sparseCategoricalCrossentropy',
    metrics: ['accuracy'],
  });
  return { model, classNames, size, training: { settings, epochsDone: 0, history: {} } };
}

type Images = Awaited<ReturnType<typeof openImages>>;

/** The images to train on, and those to measure on, if there are any. */
async function openImages(
  dir: string,
  { batchSize, validationSplit, augment }: TrainingSettings,
  options: TrainOptions,
  classifier: Classifier | undefined,
) {
  const skipped = new Set<string>();
  const common: ImageFolderOptions & { labels?: 'int' } = {
    size: classifier?.size ?? options.size,
    classNames: classifier?.classNames,
    batchSize,
    onError: options.skipCorrupt ? 'skip' : 'throw',
    onSkip: ({ path, error }) => {
      skipped.add(path);
      note(`skipped ${error.message}`);
    },
    cache: true,
  };
  const transform = augment ? augmentation : undefined;
  if (validationSplit === 0) return { training: await imageFolder(dir, { ...common, transform }), skipped };
  const training = await imageFolder(dir, { ...common, transform, validationSplit, subset: 'training' });
  const validation = await imageFolder(dir, { ...common, shuffle: false, validationSplit, subset: 'validation' });
  return { training, validation, skipped };
}

/** What changes a photo and not what is on it. Mirroring is not among it: it makes other letters, digits and hands. */
const augmentation = compose(
  randomAffine({ rotate: 10, shift: 0.1, zoom: 0.1, fillMode: 'nearest' }),
  colorJitter({ brightness: 0.2, contrast: 0.2 }),
);

async function fit(classifier: Classifier, images: Images, { out }: TrainOptions): Promise<Outcome> {
  const { model, classNames, training } = classifier;
  const { epochs, learningRate, earlyStopping } = training.settings;
  const began = performance.now();
  const first = training.epochsDone;
  const counts = { training: images.training.paths.length, validation: images.validation?.paths.length ?? 0 };
  note(`${classNames.length} classes, ${counts.training} images to train on, ${counts.validation} to measure on`);

  const save: Callback = {
    onEpochEnd: async (epoch, logs) => {
      training.epochsDone = epoch + 1;
      for (const [name, value] of Object.entries(logs)) (training.history[name] ??= []).push(value);
      await saveClassifier(out, classifier);
    },
  };
  const observers = [
    new callbacks.LearningRateScheduler((epoch) => (learningRate / 2) * (1 + Math.cos((Math.PI * epoch) / epochs))),
    new callbacks.TerminateOnNaN(),
    save,
    ...(earlyStopping === null
      ? []
      : [new callbacks.EarlyStopping({ patience: earlyStopping, restoreBestWeights: true })]),
  ];
  const history = await interruptible((signal) =>
    model.fit(images.training, {
      epochs,
      initialEpoch: first,
      validationData: images.validation,
      callbacks: observers,
      signal,
    }),
  );
  // The weights of the step at which it was interrupted, or of the best epoch.
  await saveClassifier(out, classifier);
  return {
    model: out,
    classNames,
    images: { ...counts, skipped: [...images.skipped] },
    epochs: training.epochsDone,
    interrupted: history.aborted,
    stopReason: history.stopReason ?? null,
    history: training.history,
    seconds: (performance.now() - began) / 1000,
  };
}

/** Ctrl-C aborts the signal; a second one ends the process as usual. */
async function interruptible<R>(body: (signal: AbortSignal) => Promise<R>): Promise<R> {
  const controller = new AbortController();
  const abort = (): void => {
    note('stopping after this step; again to quit at once');
    controller.abort();
  };
  process.once('SIGINT', abort).once('SIGTERM', abort);
  try {
    return await body(controller.signal);
  } finally {
    process.off('SIGINT', abort).off('SIGTERM', abort);
  }
}

function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

function describe({ model, epochs, interrupted, stopReason, history, seconds }: Outcome): string {
  const last = (name: string): string => history[name]?.at(-1)?.toFixed(4) ?? '?';
  const measured = history['val_accuracy'] ? `, ${last('val_accuracy')} on images not trained on` : '';
  return [
    ...(interrupted ? ['interrupted: --resume goes on'] : []),
    ...(stopReason === null ? [] : [`stopped: ${stopReason}`]),
    `${epochs} epochs in ${seconds.toFixed(1)} s: accuracy ${last('accuracy')}${measured}`,
    `saved ${model}`,
  ].join('\n');
}
