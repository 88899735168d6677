import { access, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { ConvgradError } from '../errors';
import { checkLabels, ImageSet, limited, splitOf, type SubsetOptions } from './imageSet';

const side = 32;
const planeBytes = side * side;
const imageBytes = 3 * planeBytes;

const cifar10Names = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'];

/** A file is a sequence of records: labels, then 1,024 red, green and blue bytes. */
interface Layout {
  labelBytes: number;
  /** Which of the label bytes counts. */
  labelAt: number;
  classNames: readonly string[];
}

/**
 * CIFAR-10: images [N, 32, 32, 3] of ten classes, from the binary version. Class names come from the `batches.meta.txt`
 * beside the files, if there is one.
 * @param source the folder with `data_batch_1.bin` … `data_batch_5.bin` and `test_batch.bin`, or with `train.bin` and
 *   `test.bin` in the same format; or the paths of such files, then `split` has no meaning
 * @throws ERR_FORMAT naming the file that is missing, truncated, or has a label that is no class
 */
export async function cifar10(source: string | readonly string[], options: SubsetOptions = {}): Promise<ImageSet> {
  const split = splitOf(options, 'cifar10');
  const files = typeof source === 'string' ? await cifar10Files(source, split) : source;
  const [first] = files;
  if (first === undefined) throw new ConvgradError('ERR_VALUE', 'cifar10: the list of files is empty');
  const classNames = (await readNames(join(dirname(first), 'batches.meta.txt'), 10)) ?? cifar10Names;
  return limited(await readSet(files, { labelBytes: 1, labelAt: 0, classNames }), options, 'cifar10');
}

async function cifar10Files(folder: string, split: 'train' | 'test'): Promise<string[]> {
  const single = join(folder, `${split}.bin`);
  if (await exists(single)) return [single];
  const names = split === 'train' ? [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`) : ['test_batch.bin'];
  for (const name of names) {
    if (!(await exists(join(folder, name)))) {
      throw new ConvgradError('ERR_FORMAT', `${folder} has no file ${name}, and no ${split}.bin`);
    }
  }
  return names.map((name) => join(folder, name));
}

export interface Cifar100Options extends SubsetOptions {
  /** `'fine'` (default): 100 classes; `'coarse'`: their 20 groups. */
  labels?: 'fine' | 'coarse';
}

/**
 * CIFAR-100: images [N, 32, 32, 3], from the folder of the binary version, with `train.bin`, `test.bin`,
 * `fine_label_names.txt` and `coarse_label_names.txt`.
 * @throws ERR_FORMAT as `cifar10`
 */
export async function cifar100(folder: string, options: Cifar100Options = {}): Promise<ImageSet> {
  const { labels = 'fine' } = options;
  if (labels !== 'fine' && labels !== 'coarse') {
    throw new ConvgradError('ERR_VALUE', `cifar100: labels must be 'fine' or 'coarse', got '${String(labels)}'`);
  }
  const classes = labels === 'fine' ? 100 : 20;
  const file = join(folder, `${splitOf(options, 'cifar100')}.bin`);
  if (!(await exists(file))) throw new ConvgradError('ERR_FORMAT', `${folder} has no file ${basename(file)}`);
  const names = await readNames(join(folder, `${labels}_label_names.txt`), classes);
  const classNames = names ?? Array.from({ length: classes }, (_, i) => String(i));
  return limited(
    await readSet([file], { labelBytes: 2, labelAt: labels === 'fine' ? 1 : 0, classNames }),
    options,
    'cifar100',
  );
}

async function readSet(files: readonly string[], layout: Layout): Promise<ImageSet> {
  const recordBytes = layout.labelBytes + imageBytes;
  const contents: Uint8Array[] = [];
  for (const file of files) {
    const bytes = await readFile(file);
    if (bytes.length === 0 || bytes.length % recordBytes !== 0) {
      const message = `truncated or not a CIFAR file: ${bytes.length} bytes are no whole number of records of ${recordBytes}`;
      throw new ConvgradError('ERR_FORMAT', `${file}: ${message}`);
    }
    contents.push(bytes);
  }
  const count = contents.reduce((sum, bytes) => sum + bytes.length / recordBytes, 0);
  const pixels = new Uint8Array(count * imageBytes);
  const labels = new Int32Array(count);
  let at = 0;
  for (const [i, bytes] of contents.entries()) {
    const first = at;
    for (let record = 0; record < bytes.length; record += recordBytes) {
      labels[at] = bytes[record + layout.labelAt]!;
      interleave(bytes, record + layout.labelBytes, pixels, at++ * imageBytes);
      // The whole data set takes longer than the event loop should wait.
      if (at % 512 === 0) await setImmediate();
    }
    checkLabels(labels.subarray(first, at), layout.classNames.length, files[i]!);
  }
  return new ImageSet(pixels, [count, side, side, 3], labels, layout.classNames);
}

/** From a red, a green and a blue plane to a red, a green and a blue byte for each pixel. */
function interleave(planes: Uint8Array, from: number, pixels: Uint8Array, to: number): void {
  for (let i = 0; i < planeBytes; ++i) {
    pixels[to + 3 * i] = planes[from + i]!;
    pixels[to + 3 * i + 1] = planes[from + planeBytes + i]!;
    pixels[to + 3 * i + 2] = planes[from + 2 * planeBytes + i]!;
  }
}

/** The names of the classes, a line each, if the file is there. */
async function readNames(file: string, classes: number): Promise<string[] | undefined> {
  if (!(await exists(file))) return undefined;
  const names = (await readFile(file, 'utf8')).split(/\r?\n/).filter((line) => line.trim() !== '');
  if (names.length === classes) return names;
  throw new ConvgradError('ERR_FORMAT', `${file}: it names ${names.length} classes, wanted ${classes}`);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
