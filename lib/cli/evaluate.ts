import type { Command } from 'commander';
import { formatTable } from '../bench/table';
import { imageFolder } from '../data';
import { ConfusionMatrix } from '../train/metrics';
import { loadClassifier } from './classifier';
import { report, type GlobalOptions } from './output';

interface ClassReport {
  className: string;
  precision: number;
  recall: number;
  f1: number;
  /** Images of this class. */
  images: number;
}

interface Evaluation {
  images: number;
  accuracy: number;
  classes: ClassReport[];
  /** [class][prediction], in the order of `classes`. */
  confusionMatrix: number[][];
  skipped: string[];
}

interface EvaluateOptions extends GlobalOptions {
  skipCorrupt?: boolean;
}

export function configure(command: Command): void {
  command
    .argument('<model>', 'a folder that `convgrad train` wrote')
    .argument('<dir>', 'a folder with a folder of images for each class, named like the classes of the model')
    .option('--skip-corrupt', 'leave out images that cannot be decoded, and name them, instead of failing')
    .addHelpText('after', '\nExample:\n  $ convgrad evaluate model photos/test')
    .action(async (folder: string, dir: string, options: EvaluateOptions) => {
      const evaluation = await evaluate(folder, dir, options);
      report(evaluation, describe(evaluation), options);
    });
}

async function evaluate(folder: string, dir: string, { skipCorrupt }: EvaluateOptions): Promise<Evaluation> {
  const { model, classNames, size } = await loadClassifier(folder);
  const images = await imageFolder(dir, {
    size,
    classNames,
    shuffle: false,
    onError: skipCorrupt ? 'skip' : 'throw',
    onSkip: ({ error }) => process.stderr.write(`convgrad: skipped ${error.message}\n`),
  });
  const matrix = new ConfusionMatrix();
  for await (const [x, labels] of images) {
    const probabilities = await model.predict(x);
    await matrix.update(probabilities, labels);
    for (const tensor of [x, labels, probabilities]) tensor.dispose();
  }
  return { ...summarize(matrix.result(), classNames), skipped: images.skipped.map(({ path }) => path) };
}

function summarize(confusionMatrix: number[][], classNames: readonly string[]): Omit<Evaluation, 'skipped'> {
  const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
  const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
  const images = sum(confusionMatrix.map(sum));
  const classes = classNames.map((className, label) => {
    const hits = confusionMatrix[label]![label]!;
    const actual = sum(confusionMatrix[label]!);
    const predicted = sum(confusionMatrix.map((row) => row[label]!));
    const f1 = ratio(2 * hits, actual + predicted);
    return { className, precision: ratio(hits, predicted), recall: ratio(hits, actual), f1, images: actual };
  });
  return { images, accuracy: ratio(sum(confusionMatrix.map((row, i) => row[i]!)), images), classes, confusionMatrix };
}

function describe({ images, accuracy, classes, confusionMatrix }: Evaluation): string {
  const report = formatTable(
    ['class', 'precision', 'recall', 'F1', 'images'],
    classes.map(({ className, precision, recall, f1, images }) => [
      className,
      precision.toFixed(3),
      recall.toFixed(3),
      f1.toFixed(3),
      String(images),
    ]),
  );
  const matrix = formatTable(
    ['class \\ prediction', ...classes.map(({ className }) => className)],
    confusionMatrix.map((row, label) => [classes[label]!.className, ...row.map(String)]),
  );
  return `accuracy ${accuracy.toFixed(4)} on ${images} images\n\n${report}\n\n${matrix}`;
}
