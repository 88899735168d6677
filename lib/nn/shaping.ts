import { ConvgradError } from '../errors';
import {
  flatten,
  pad,
  reshape,
  resizeBilinear,
  resizeNearest,
  slice,
  transpose,
  type Padding2d,
  type Pair,
} from '../ops';
import type { Shape, Tensor } from '../tensor';
import { Module } from './module';
import { channelsLast, isChannelsFirst, pairOf, show, sidesOf, type DataFormat } from './options';
import { float, tuple } from './print';
import { registerModule } from './registry';

/**
 * Makes each sample one row: [N, H, W, C] → [N, H·W·C]. PyTorch and Keras `Flatten`.
 *
 * Features come in the order H, W, C. With `dataFormat: 'channels_first'` images are [N, C, H, W] and brought to that
 * order first, as in Keras.
 */
export class Flatten extends Module {
  constructor(
    readonly startDim = 1,
    readonly dataFormat: DataFormat = 'channels_last',
  ) {
    super();
  }

  forward(x: Tensor): Tensor {
    if (isChannelsFirst(this.dataFormat) && x.rank > 2) {
      const [batch, channels, ...spatial] = [...x.shape.keys()];
      x = transpose(x, [batch!, ...spatial, channels!]);
    }
    return flatten(x, this.startDim);
  }

  override config(): Record<string, unknown> {
    return { startDim: this.startDim, dataFormat: this.dataFormat };
  }

  override extraRepr(): string {
    return `start_dim=${this.startDim}, end_dim=-1`;
  }
}

/** Gives each sample another shape; one dimension may be -1. Keras `Reshape`. [N, ...] → [N, ...targetShape]. */
export class Reshape extends Module {
  constructor(readonly targetShape: Shape) {
    super();
    const valid = targetShape.every((dim) => Number.isInteger(dim) && (dim > 0 || dim === -1));
    if (!valid || targetShape.filter((dim) => dim === -1).length > 1) {
      throw new ConvgradError(
        'ERR_VALUE',
        `Reshape: targetShape must be positive integers, of which one may be -1, got ${show(targetShape)}`,
      );
    }
  }

  forward(x: Tensor): Tensor {
    const sample = x.shape.slice(1).reduce((size, dim) => size * dim, 1);
    const known = this.targetShape.reduce((size, dim) => (dim === -1 ? size : size * dim), 1);
    const shape = this.targetShape.map((dim) => (dim === -1 ? sample / known : dim));
    if (shape.reduce((size, dim) => size * dim, 1) !== sample || !shape.every(Number.isInteger)) {
      throw new ConvgradError(
        'ERR_SHAPE',
        `the ${sample} elements of a sample of [${x.shape.join(', ')}] do not fill targetShape [${this.targetShape.join(', ')}]`,
      );
    }
    return reshape(x, [x.shape[0]!, ...shape]);
  }

  override config(): Record<string, unknown> {
    return { targetShape: this.targetShape };
  }

  override extraRepr(): string {
    return tuple(this.targetShape);
  }
}

/** Permutes the axes of each sample, counted from 1. Keras `Permute`. */
export class Permute extends Module {
  constructor(readonly dims: readonly number[]) {
    super();
    if ([...dims].sort((a, b) => a - b).some((dim, i) => dim !== i + 1)) {
      throw new ConvgradError('ERR_VALUE', `Permute: dims must be a permutation of 1 to n, got ${show(dims)}`);
    }
  }

  forward(x: Tensor): Tensor {
    return transpose(x, [0, ...this.dims]);
  }

  override config(): Record<string, unknown> {
    return { dims: this.dims };
  }

  override extraRepr(): string {
    return tuple(this.dims);
  }
}

abstract class Borders extends Module {
  protected readonly sides: [[number, number], [number, number]];

  constructor(
    protected readonly given: Padding2d,
    protected readonly dataFormat: DataFormat,
    name: string,
  ) {
    super();
    this.sides = sidesOf(this.constructor.name, name, given);
  }

  override extraRepr(): string {
    return tuple([...this.sides].reverse().flat()); // PyTorch's order: left, right, top, bottom
  }
}

/**
 * Surrounds images with zeros. Keras `ZeroPadding2D`, PyTorch `ZeroPad2d`. [N, H, W, C] → [N, top + H + bottom, …, C].
 * @param padding a number, [vertical, horizontal] or [[top, bottom], [left, right]]
 */
export class ZeroPadding2d extends Borders {
  constructor(padding: Padding2d = 1, { dataFormat = 'channels_last' }: { dataFormat?: DataFormat } = {}) {
    super(padding, dataFormat, 'padding');
  }

  forward(x: Tensor): Tensor {
    return channelsLast(this.dataFormat, x, (x) => pad(x, [[0, 0], ...this.sides, [0, 0]]));
  }

  override config(): Record<string, unknown> {
    return { padding: this.given, dataFormat: this.dataFormat };
  }
}

/**
 * Cuts rows and columns off images. Keras `Cropping2D`.
 * @param cropping a number, [vertical, horizontal] or [[top, bottom], [left, right]]
 */
export class Cropping2d extends Borders {
  constructor(cropping: Padding2d = 0, { dataFormat = 'channels_last' }: { dataFormat?: DataFormat } = {}) {
    super(cropping, dataFormat, 'cropping');
  }

  forward(x: Tensor): Tensor {
    return channelsLast(this.dataFormat, x, (x) => {
      const [[top, bottom], [left, right]] = this.sides;
      const [n, h, w, c] = x.shape as [number, number, number, number];
      const size = [h - top - bottom, w - left - right] as const;
      if (x.rank !== 4 || size[0] <= 0 || size[1] <= 0) {
        throw new ConvgradError(
          'ERR_SHAPE',
          `cropping [[${top}, ${bottom}], [${left}, ${right}]] leaves nothing of [${x.shape.join(', ')}]`,
        );
      }
      return slice(x, [0, top, left, 0], [n, ...size, c]);
    });
  }

  override config(): Record<string, unknown> {
    return { cropping: this.given, dataFormat: this.dataFormat };
  }
}

export interface UpSampling2dOptions {
  /** Default `'nearest'`. */
  interpolation?: 'nearest' | 'bilinear';
  /** The layout of inputs and outputs. Default `'channels_last'`: [N, H, W, C]. */
  dataFormat?: DataFormat;
}

/** Makes images larger by whole factors. Keras `UpSampling2D`, PyTorch `Upsample`. [N, H, W, C] → [N, H·size, W·size, C]. */
export class UpSampling2d extends Module {
  readonly interpolation: 'nearest' | 'bilinear';
  readonly #dataFormat: DataFormat;

  constructor(
    readonly size: Pair = 2,
    { interpolation = 'nearest', dataFormat = 'channels_last' }: UpSampling2dOptions = {},
  ) {
    super();
    pairOf('UpSampling2d', 'size', size);
    if (interpolation !== 'nearest' && interpolation !== 'bilinear') {
      throw new ConvgradError(
        'ERR_VALUE',
        `UpSampling2d: interpolation must be 'nearest' or 'bilinear', got ${show(interpolation)}`,
      );
    }
    this.interpolation = interpolation;
    this.#dataFormat = dataFormat;
  }

  forward(x: Tensor): Tensor {
    const [vertical, horizontal] = pairOf('UpSampling2d', 'size', this.size);
    const resize = this.interpolation === 'nearest' ? resizeNearest : resizeBilinear;
    return channelsLast(this.#dataFormat, x, (x) => resize(x, [x.shape[1]! * vertical, x.shape[2]! * horizontal]));
  }

  override config(): Record<string, unknown> {
    return { size: this.size, interpolation: this.interpolation, dataFormat: this.#dataFormat };
  }

  override extraRepr(): string {
    const size = typeof this.size === 'number' ? float(this.size) : tuple(this.size.map(float));
    return `scale_factor=${size}, mode='${this.interpolation}'`;
  }
}

registerModule('Flatten', Flatten, ({ startDim, dataFormat }) => new Flatten(startDim, dataFormat));
registerModule('Reshape', Reshape, ({ targetShape }) => new Reshape(targetShape));
registerModule('Permute', Permute, ({ dims }) => new Permute(dims));
registerModule('ZeroPadding2d', ZeroPadding2d, ({ padding, ...options }) => new ZeroPadding2d(padding, options));
registerModule('Cropping2d', Cropping2d, ({ cropping, ...options }) => new Cropping2d(cropping, options));
registerModule('UpSampling2d', UpSampling2d, ({ size, ...options }) => new UpSampling2d(size, options));
