import type { Command } from 'commander';
import { decodePixels, type Pixels } from '../data';
import { tensor } from '../tensor';
import { loadClassifier, type Classifier } from './classifier';
import { integer } from './options';
import { fail, report, type GlobalOptions } from './output';

const BATCH_SIZE = 32;

interface PredictOptions extends GlobalOptions {
  top: number;
}

interface Guess {
  className: string;
  probability: number;
}

interface Success {
  image: string;
  classes: Guess[];
}

interface Failure {
  image: string;
  error: { code: string; message: string };
}

export function configure(command: Command): void {
  command
    .argument('<model>', 'a folder that `convgrad train` wrote')
    .argument('<images...>', 'image files (JPEG, PNG, WebP, GIF, AVIF, TIFF)')
    .option('-k, --top <count>', 'how many classes to name for each image', integer(1), 3)
    .addHelpText(
      'after',
      '\nExit code 1: an image could not be read; the others are predicted all the same.\n\nExamples:\n' +
        '  $ convgrad predict model photo.jpg\n  $ convgrad predict model photos/*.png --top 1 --json',
    )
    .action(async (folder: string, images: string[], options: PredictOptions) => {
      const classifier = await loadClassifier(folder);
      const predictions: (Success | Failure)[] = [];
      for (let begin = 0; begin < images.length; begin += BATCH_SIZE) {
        predictions.push(...(await predict(classifier, images.slice(begin, begin + BATCH_SIZE), options.top)));
      }
      const failed = predictions.filter((prediction): prediction is Failure => 'error' in prediction);
      const lines = predictions.flatMap((prediction) => ('error' in prediction ? [] : describe(prediction)));
      report({ predictions }, lines.join('\n'), options);
      if (!options.json) for (const { error } of failed) fail(error, options);
      if (failed.length > 0) process.exitCode = 1;
    });
}

async function predict(
  { model, classNames, size }: Classifier,
  images: string[],
  top: number,
): Promise<(Success | Failure)[]> {
  const decoded = await Promise.all(
    images.map((image) => decodePixels(image, { size }).catch((error: Error) => error)),
  );
  const pixels = decoded.filter((image): image is Pixels<Uint8Array> => !(image instanceof Error));
  const probabilities = pixels.length > 0 ? await probabilitiesOf(model, pixels, size) : [];
  let next = 0;
  return decoded.map((result, i) => {
    const image = images[i]!;
    if (result instanceof Error) return { image, error: { code: codeOf(result), message: result.message } };
    const row = probabilities[next++]!;
    const classes = classNames.map((className, label) => ({ className, probability: row[label]! }));
    return { image, classes: classes.sort((a, b) => b.probability - a.probability).slice(0, top) };
  });
}

/** A row for each image. */
async function probabilitiesOf(
  model: Classifier['model'],
  images: readonly Pixels<Uint8Array>[],
  size: number,
): Promise<number[][]> {
  const values = Float32Array.from(images.flatMap(({ data }) => Array.from(data, (byte) => byte / 255)));
  using x = tensor(values, [images.length, size, size, 3]);
  using y = await model.predict(x);
  return (await y.array()) as number[][];
}

const codeOf = (error: Error & { code?: string }): string => error.code ?? 'ERR_FAILED';

function describe({ image, classes }: Success): string {
  const guesses = classes.map(({ className, probability }) => `${className} ${(100 * probability).toFixed(1)} %`);
  return `${image}: ${guesses.join(', ')}`;
}
