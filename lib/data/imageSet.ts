import { ConvgradError } from '../errors';
import { tensor, type Tensor } from '../tensor';
import { Dataset } from './dataset';
import type { Pixels } from './decode';
import {
  imageBatches,
  labelEncoder,
  type ImageBatchOptions,
  type ImageTensor,
  type LabelOptions,
  type LabelTensor,
} from './imageBatches';

/** Which part of a published data set to read. */
export interface SubsetOptions {
  /** Default `'train'`. */
  split?: 'train' | 'test';
  /** Only the first so many images. */
  limit?: number;
}

/** Images of one size with their labels, in memory: as tensors, sample by sample, or in batches. */
export class ImageSet implements Disposable {
  #images: Tensor<'uint8'> | undefined;
  #labels: Tensor<'int32'> | undefined;

  /** @internal */
  constructor(
    /** All images, one after the other. */
    readonly pixels: Uint8Array,
    /** [N, height, width, channels] */
    readonly shape: readonly [number, number, number, number],
    /** The label of each image. */
    readonly targets: Int32Array,
    /** The name of each label. */
    readonly classNames: readonly string[],
  ) {}

  /** Number of images. */
  get size(): number {
    return this.shape[0];
  }

  /** All images, [N, height, width, channels]. Made on first use, and kept until `dispose()`. */
  get images(): Tensor<'uint8'> {
    return (this.#images ??= tensor(this.pixels, this.shape));
  }

  /** All labels, [N]. Made on first use, and kept until `dispose()`. */
  get labels(): Tensor<'int32'> {
    return (this.#labels ??= tensor(this.targets));
  }

  /** The samples one by one, in order: `[image, label]`. */
  get samples(): Dataset<[image: Pixels<Uint8Array>, label: number]> {
    const indices = Dataset.from(Array.from(this.targets.keys()));
    return indices.map((index) => [this.at(index), this.targets[index]!]);
  }

  /** Batches [images, labels]. */
  batches<const O extends ImageBatchOptions & LabelOptions>(
    options: O = {} as O,
  ): Dataset<[images: ImageTensor<O>, labels: LabelTensor<O>]> {
    const encode = labelEncoder(this.targets, this.classNames.length, options);
    const batches = imageBatches(this.size, (index) => this.at(index), options, encode);
    return batches as unknown as Dataset<[ImageTensor<O>, LabelTensor<O>]>;
  }

  /** The image of a number, which shares this one's memory. */
  at(index: number): Pixels<Uint8Array> {
    const [, ...shape] = this.shape;
    const length = this.pixels.length / this.size;
    return { data: this.pixels.subarray(index * length, (index + 1) * length), shape };
  }

  /** The images [begin, end), which share this one's memory. Throws ERR_VALUE when they are none. */
  subset(begin: number, end = this.size): ImageSet {
    if (!(Number.isInteger(begin) && Number.isInteger(end) && begin >= 0 && begin < end && end <= this.size)) {
      throw new ConvgradError('ERR_VALUE', `subset: [${begin}, ${end}) is no part of the images [0, ${this.size})`);
    }
    const [, height, width, channels] = this.shape;
    const length = height * width * channels;
    return new ImageSet(
      this.pixels.subarray(begin * length, end * length),
      [end - begin, height, width, channels],
      this.targets.subarray(begin, end),
      this.classNames,
    );
  }

  /** Disposes `images` and `labels`. */
  dispose(): void {
    this.#images?.dispose();
    this.#labels?.dispose();
    this.#images = this.#labels = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The `split` of the options. Throws ERR_VALUE. */
export function splitOf({ split = 'train' }: SubsetOptions, what: string): 'train' | 'test' {
  if (split === 'train' || split === 'test') return split;
  throw new ConvgradError('ERR_VALUE', `${what}: split must be 'train' or 'test', got '${String(split)}'`);
}

/** The first images, if there is a `limit`. Throws ERR_VALUE. */
export function limited(set: ImageSet, { limit }: SubsetOptions, what: string): ImageSet {
  if (limit === undefined) return set;
  if (Number.isInteger(limit) && limit >= 1) return set.subset(0, Math.min(limit, set.size));
  throw new ConvgradError('ERR_VALUE', `${what}: limit must be an integer of at least 1, got ${limit}`);
}

/** Throws ERR_FORMAT naming the first label that is no class. */
export function checkLabels(labels: ArrayLike<number>, classes: number, file: string): void {
  for (let i = 0; i < labels.length; ++i) {
    if (labels[i]! < classes) continue;
    throw new ConvgradError(
      'ERR_FORMAT',
      `${file}: the label of image ${i} is ${labels[i]}, there are ${classes} classes`,
    );
  }
}
