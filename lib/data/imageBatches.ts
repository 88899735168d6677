import { ConvgradError } from '../errors';
import { tidy } from '../memory';
import { cast, div } from '../ops';
import type { DType, Tensor } from '../tensor';
import { Dataset } from './dataset';
import type { Pixels } from './decode';
import type { NdArray } from './structure';
import type { Transform } from './transforms';

/** What all sources of images have in common. */
export interface ImageBatchOptions {
  /** Default 32. */
  batchSize?: number;
  /** Leaves out the last batch where it is smaller. Default false. */
  dropRemainder?: boolean;
  /** Whether each pass has another order. Default true; turn it off to evaluate in order. */
  shuffle?: boolean;
  /** Makes order and augmentation a function of the seed and the number of the pass. Default: see `setSeed`. */
  seed?: number;
  /** Augmentation of each image. */
  transform?: Transform;
  /** Whether bytes become floats from 0 to 1. Default true; otherwise they stay uint8. */
  scale?: boolean;
  /** Batches to make ahead of the reader. Default 2. */
  prefetch?: number;
}

export interface LabelOptions {
  /** `'int'` (default): int32 [N]. `'categorical'`: float32 [N, classes], 1 for the class. */
  labels?: 'int' | 'categorical';
}

/** Images [N, height, width, channels]: float32, unless `scale` is false. */
export type ImageTensor<O> = O extends { scale: false } ? Tensor<'uint8'> | Tensor : Tensor;
/** Labels [N], or [N, classes] when `labels` is `'categorical'`. */
export type LabelTensor<O> = O extends { labels: 'categorical' } ? Tensor : Tensor<'int32'>;

/** Gives the image of a number, or undefined for one that is to be left out. */
export type LoadImage = (index: number) => Pixels | undefined | Promise<Pixels | undefined>;

/**
 * Loads, augments and batches the images 0 … count - 1.
 * @param canSkip whether `load` may leave images out: the number of batches is then unknown
 * @param labelOf makes the second member of a batch; without it a batch is a tensor
 */
export function imageBatches(
  count: number,
  load: LoadImage,
  options: ImageBatchOptions & { concurrency?: number; canSkip?: boolean },
  labelOf?: (index: number) => number | NdArray,
): Dataset<Tensor<DType> | Tensor<DType>[]> {
  const { batchSize = 32, dropRemainder, shuffle = true, seed, transform, scale = true, prefetch = 2 } = options;
  const { concurrency, canSkip = false } = options;
  const indices = Dataset.from(Array.from({ length: count }, (_, index) => index));
  const ordered = shuffle ? indices.shuffle(Math.max(1, count), { seed }) : indices;
  const samples = ordered.map(
    async (index, _, random) => {
      const loaded = await load(index);
      if (loaded === undefined) return undefined;
      const image = transform ? transform(loaded, random) : loaded;
      return labelOf ? [image, labelOf(index)] : image;
    },
    { concurrency, seed },
  );
  const present = canSkip ? samples.filter((sample) => sample !== undefined) : samples;
  const bytes = present.batch(batchSize, { dropRemainder }) as Dataset<Tensor<DType> | Tensor<DType>[]>;
  const batches = scale
    ? bytes.map((batch) => (Array.isArray(batch) ? [scaled(batch[0]!), ...batch.slice(1)] : scaled(batch)))
    : bytes;
  return prefetch > 0 ? batches.prefetch(prefetch) : batches;
}

/** Bytes as floats from 0 to 1; floats as they are. On the device, so that JavaScript has only the bytes to move. */
function scaled(images: Tensor<DType>): Tensor<DType> {
  return images.dtype === 'uint8' ? tidy(() => div(cast(images, 'float32'), 255)) : images;
}

/** The labels as members of samples. */
export function labelEncoder(
  labels: ArrayLike<number>,
  classes: number,
  { labels: kind = 'int' }: LabelOptions,
): (index: number) => number | NdArray {
  if (kind === 'int') return (index) => labels[index]!;
  if (kind !== 'categorical') {
    throw new ConvgradError('ERR_VALUE', `labels must be 'int' or 'categorical', got '${String(kind)}'`);
  }
  return (index) => {
    const data = new Float32Array(classes);
    data[labels[index]!] = 1;
    return { data, shape: [classes] };
  };
}
