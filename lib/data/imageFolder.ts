import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ConvgradError } from '../errors';
import { Dataset } from './dataset';
import { decodePixels, type DecodeOptions, type Pixels } from './decode';
import {
  imageBatches,
  labelEncoder,
  type ImageBatchOptions,
  type ImageTensor,
  type LabelOptions,
  type LabelTensor,
  type LoadImage,
} from './imageBatches';
import { streamOf } from './random';

const imageNames = /\.(jpe?g|png|webp|gif|avif|tiff?|bmp)$/i;

/** An image that could not be decoded. */
export interface SkippedImage {
  path: string;
  error: Error;
}

export interface ImageFilesOptions extends DecodeOptions, ImageBatchOptions {
  /** What every image is resized to, a side or [height, width]. Without it they must all be equally large. */
  size?: DecodeOptions['size'];
  /** Whether folders in a folder are searched too. Default true. */
  recursive?: boolean;
  /** What to do with a corrupt image: throw an error that names it (default), or leave it out and report it. */
  onError?: 'throw' | 'skip';
  /** Told of every image that is left out, once. */
  onSkip?: (skipped: SkippedImage) => void;
  /** Images to decode at the same time, each on a thread of Node's pool. Default 4. */
  concurrency?: number;
  /** Keeps the decoded images in memory, a byte for each pixel's channel. Default false. */
  cache?: boolean;
}

export interface ImageFolderOptions extends ImageFilesOptions, LabelOptions {
  /**
   * The names of the classes in the order of their labels, to read a folder with the labels of another. Default: the
   * sorted names of the folders.
   */
  classNames?: readonly string[];
  /** The fraction of each class that belongs to the subset `'validation'`. */
  validationSplit?: number;
  /** Which part to read; the same `seed` gives parts that complement each other. */
  subset?: 'training' | 'validation';
}

/** Batches of images in random or sorted order: what `imageFiles` gives. */
export class ImageFiles<X> extends Dataset<X> {
  constructor(
    batches: Dataset<X>,
    /** The files, in sorted order, those that are skipped included. */
    readonly paths: readonly string[],
    /** What has been left out so far. */
    readonly skipped: readonly SkippedImage[],
  ) {
    super(() => batches[Symbol.asyncIterator](), batches.size);
  }
}

/** Batches of images and labels: what `imageFolder` gives. */
export class ImageFolder<X, Y> extends ImageFiles<[images: X, labels: Y]> {
  constructor(
    batches: Dataset<[images: X, labels: Y]>,
    paths: readonly string[],
    skipped: readonly SkippedImage[],
    /** The name of each label. */
    readonly classNames: readonly string[],
    /** The label of each of `paths`. */
    readonly labels: readonly number[],
  ) {
    super(batches, paths, skipped);
  }
}

/**
 * Batches [images, labels] from a folder that has a folder for each class. Labels are the positions of the sorted folder
 * names. Hidden files and files without an image's extension are ignored.
 * @throws ERR_VALUE when there are no classes, or a class has no images; while reading, ERR_FORMAT naming a corrupt image,
 *   and ERR_SHAPE when images differ in size and no `size` is given
 */
export async function imageFolder<const O extends ImageFolderOptions>(
  folder: string,
  options: O = {} as O,
): Promise<ImageFolder<ImageTensor<O>, LabelTensor<O>>> {
  const { recursive = true } = options;
  const found = await foldersIn(folder);
  const classNames = options.classNames ?? found;
  const unknown = found.find((name) => !classNames.includes(name));
  if (unknown !== undefined) {
    throw new ConvgradError(
      'ERR_VALUE',
      `imageFolder: ${join(folder, unknown)} is none of the classes ${classNames.join(', ')}`,
    );
  }
  if (found.length === 0) {
    throw new ConvgradError(
      'ERR_VALUE',
      `imageFolder: ${folder} has no folders; it wants one for each class, with its images (imageFiles reads images without classes)`,
    );
  }

  const files: { path: string; label: number }[] = [];
  for (const name of found) {
    const paths = await imagesIn(join(folder, name), recursive);
    if (paths.length === 0) {
      throw new ConvgradError('ERR_VALUE', `imageFolder: the class folder ${join(folder, name)} has no images`);
    }
    const label = classNames.indexOf(name);
    files.push(...subsetOf(paths, label, options).map((path) => ({ path, label })));
  }
  if (files.length === 0) {
    const { validationSplit, subset } = options;
    throw new ConvgradError(
      'ERR_VALUE',
      `imageFolder: validationSplit ${validationSplit} leaves no ${subset} images in ${folder}`,
    );
  }

  const [paths, labels] = [files.map(({ path }) => path), files.map(({ label }) => label)];
  const { load, skipped } = loader(paths, options);
  const encode = labelEncoder(labels, classNames.length, options);
  const batches = imageBatches(paths.length, load, { ...decodingOptions(options) }, encode);
  type Batches = Dataset<[ImageTensor<O>, LabelTensor<O>]>;
  return new ImageFolder(batches as unknown as Batches, paths, skipped, classNames, labels);
}

/**
 * Batches of images without labels, for prediction.
 * @param source a folder, which is searched for images, or the paths of images, which keep their order
 * @param options as for `imageFolder`, but `shuffle` is false unless it is asked for
 * @throws ERR_VALUE when there are no images; while reading, as `imageFolder`
 */
export async function imageFiles<const O extends ImageFilesOptions>(
  source: string | readonly string[],
  options: O = {} as O,
): Promise<ImageFiles<ImageTensor<O>>> {
  const paths = typeof source === 'string' ? await imagesIn(source, options.recursive ?? true) : [...source];
  if (paths.length === 0) {
    const where = typeof source === 'string' ? `${source} has no images` : 'the list of paths is empty';
    throw new ConvgradError('ERR_VALUE', `imageFiles: ${where}`);
  }
  const { load, skipped } = loader(paths, options);
  const batches = imageBatches(paths.length, load, { shuffle: false, ...decodingOptions(options) });
  return new ImageFiles(batches as unknown as Dataset<ImageTensor<O>>, paths, skipped);
}

function decodingOptions<O extends ImageFilesOptions>(options: O) {
  return { concurrency: 4, ...options, canSkip: options.onError === 'skip' };
}

/** Decodes images by number; those that cannot be are remembered, and not tried again. */
function loader(paths: readonly string[], options: ImageFilesOptions): { load: LoadImage; skipped: SkippedImage[] } {
  const { onError = 'throw', onSkip, cache = false } = options;
  if (onError !== 'throw' && onError !== 'skip') {
    throw new ConvgradError('ERR_VALUE', `onError must be 'throw' or 'skip', got '${String(onError)}'`);
  }
  const skipped: SkippedImage[] = [];
  const bad = new Set<number>();
  const decoded: (Pixels | undefined)[] = [];
  const load = async (index: number): Promise<Pixels | undefined> => {
    if (bad.has(index)) return undefined;
    if (decoded[index]) return decoded[index];
    const path = paths[index]!;
    try {
      const image = await decodePixels(path, options);
      if (cache) decoded[index] = image;
      return image;
    } catch (error) {
      if (onError === 'throw' || !(error instanceof ConvgradError && error.code === 'ERR_FORMAT')) throw error;
      bad.add(index);
      skipped.push({ path, error });
      onSkip?.({ path, error });
      return undefined;
    }
  };
  return { load, skipped };
}

/** The names of the folders in a folder, sorted, links to folders included. */
async function foldersIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  for (const name of await visibleNames(folder)) {
    if ((await stat(join(folder, name))).isDirectory()) names.push(name);
  }
  return names;
}

/** The paths of the images in a folder, sorted. */
async function imagesIn(folder: string, recursive: boolean, seen: Set<string> = new Set()): Promise<string[]> {
  const real = await realpath(folder);
  // A link to a folder further up would have no end.
  if (seen.has(real)) return [];
  seen.add(real);
  const paths: string[] = [];
  for (const name of await visibleNames(folder)) {
    const path = join(folder, name);
    if ((await stat(path)).isDirectory()) {
      if (recursive) paths.push(...(await imagesIn(path, recursive, seen)));
    } else if (imageNames.test(name)) {
      paths.push(path);
    }
  }
  return paths;
}

async function visibleNames(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => !name.startsWith('.')).sort();
}

/** The part of a class that was asked for, in the order that it came in. */
function subsetOf(paths: readonly string[], label: number, options: ImageFolderOptions): readonly string[] {
  const { validationSplit, subset, seed = 0 } = options;
  if ((validationSplit === undefined) !== (subset === undefined)) {
    throw new ConvgradError('ERR_VALUE', 'imageFolder: validationSplit and subset go together, only one was given');
  }
  if (validationSplit === undefined) return paths;
  if (!(validationSplit > 0 && validationSplit < 1)) {
    throw new ConvgradError(
      'ERR_VALUE',
      `imageFolder: validationSplit must be between 0 and 1, got ${validationSplit}`,
    );
  }
  if (subset !== 'training' && subset !== 'validation') {
    throw new ConvgradError(
      'ERR_VALUE',
      `imageFolder: subset must be 'training' or 'validation', got '${String(subset)}'`,
    );
  }
  const random = streamOf(seed, 0, label);
  const order = paths.map((path) => ({ path, key: random() })).sort((a, b) => a.key - b.key);
  const validation = new Set(order.slice(0, Math.floor(paths.length * validationSplit)).map(({ path }) => path));
  return paths.filter((path) => validation.has(path) === (subset === 'validation'));
}
