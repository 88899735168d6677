import {
  adaptiveAvgPool2d,
  adaptiveMaxPool2d,
  avgPool2d,
  globalAvgPool2d,
  globalMaxPool2d,
  maxPool2d,
  type Padding2d,
  type Pair,
} from '../ops';
import type { Tensor } from '../tensor';
import { Module } from './module';
import { channelsLast, pairOf, paddingText, type DataFormat } from './options';
import { bool, tuple } from './print';
import { registerModule } from './registry';

export interface Pool2dOptions {
  /** Distance of neighbouring windows. Default: the size of the window. */
  stride?: Pair;
  /** Default 0. See `Padding2d`. */
  padding?: Padding2d;
  /** Whether a last window may hang over the end of the input. Default false. */
  ceilMode?: boolean;
  /** The layout of inputs and outputs. Default `'channels_last'`: [N, H, W, C]. */
  dataFormat?: DataFormat;
}

export interface AvgPool2dOptions extends Pool2dOptions {
  /** Whether padding counts in what a sum is divided by. Default: true; with padding `'same'` false, as in Keras. */
  countIncludePad?: boolean;
  /** Divides every sum by this number instead. */
  divisorOverride?: number;
}

/** `2` or `(3, 2)`, as PyTorch shows what it was given. */
const given = (value: Pair): string => (typeof value === 'number' ? String(value) : tuple(value));

abstract class Pool2d<O extends Pool2dOptions = Pool2dOptions> extends Module {
  protected readonly options: O;

  /** `(2)`, `(3, 2)` for a stride of 2, or `(3, { stride: 2, padding: 1 })`. */
  constructor(
    readonly kernelSize: Pair,
    options: Pair | O = {} as O,
  ) {
    super();
    pairOf(this.constructor.name, 'kernelSize', kernelSize);
    const isStride = typeof options === 'number' || Array.isArray(options);
    this.options = isStride ? ({ stride: options } as unknown as O) : (options as O);
  }

  get stride(): Pair {
    return this.options.stride ?? this.kernelSize;
  }

  get padding(): Padding2d {
    return this.options.padding ?? 0;
  }

  get ceilMode(): boolean {
    return this.options.ceilMode ?? false;
  }

  get dataFormat(): DataFormat {
    return this.options.dataFormat ?? 'channels_last';
  }

  protected inFormat(x: Tensor, compute: (x: Tensor) => Tensor): Tensor {
    return channelsLast(this.dataFormat, x, compute);
  }

  override config(): Record<string, unknown> {
    return { kernelSize: this.kernelSize, ...(this.options as Pool2dOptions) };
  }

  override extraRepr(): string {
    const { padding } = this;
    const shown = typeof padding === 'number' ? padding : (paddingText(padding) ?? 0);
    return `kernel_size=${given(this.kernelSize)}, stride=${given(this.stride)}, padding=${shown}`;
  }
}

/** The maximum of each window. PyTorch `MaxPool2d`, Keras `MaxPooling2D`. [N, H, W, C] → [N, P, Q, C]. */
export class MaxPool2d extends Pool2d<Pool2dOptions> {
  forward(x: Tensor): Tensor {
    const { kernelSize: poolSize, stride, padding, ceilMode } = this;
    return this.inFormat(x, (x) => maxPool2d(x, { poolSize, stride, padding, ceilMode }));
  }

  override extraRepr(): string {
    return `${super.extraRepr()}, dilation=1, ceil_mode=${bool(this.ceilMode)}`;
  }
}

/** The average of each window. PyTorch `AvgPool2d`, Keras `AveragePooling2D`. [N, H, W, C] → [N, P, Q, C]. */
export class AvgPool2d extends Pool2d<AvgPool2dOptions> {
  forward(x: Tensor): Tensor {
    const { kernelSize: poolSize, stride, padding, ceilMode } = this;
    const { countIncludePad, divisorOverride } = this.options;
    return this.inFormat(x, (x) =>
      avgPool2d(x, { poolSize, stride, padding, ceilMode, countIncludePad, divisorOverride }),
    );
  }
}

abstract class AdaptivePool2d extends Module {
  constructor(readonly outputSize: Pair) {
    super();
    pairOf(this.constructor.name, 'outputSize', outputSize);
  }

  override config(): Record<string, unknown> {
    return { outputSize: this.outputSize };
  }

  override extraRepr(): string {
    return `output_size=${given(this.outputSize)}`;
  }
}

/** Averages over as many windows as asked for. PyTorch `AdaptiveAvgPool2d`. [N, H, W, C] → [N, ...outputSize, C]. */
export class AdaptiveAvgPool2d extends AdaptivePool2d {
  forward(x: Tensor): Tensor {
    return adaptiveAvgPool2d(x, this.outputSize);
  }
}

/** Maxima over as many windows as asked for. PyTorch `AdaptiveMaxPool2d`. [N, H, W, C] → [N, ...outputSize, C]. */
export class AdaptiveMaxPool2d extends AdaptivePool2d {
  forward(x: Tensor): Tensor {
    return adaptiveMaxPool2d(x, this.outputSize);
  }
}

export interface GlobalPool2dOptions {
  /** Whether the result is [N, 1, 1, C] and not [N, C]. Default false. */
  keepDims?: boolean;
  /** The layout of inputs and outputs. Default `'channels_last'`: [N, H, W, C]. */
  dataFormat?: DataFormat;
}

abstract class GlobalPool2d extends Module {
  constructor(protected readonly options: GlobalPool2dOptions = {}) {
    super();
  }

  protected inFormat(x: Tensor, compute: (x: Tensor, options: { keepDims?: boolean }) => Tensor): Tensor {
    const { keepDims = false, dataFormat = 'channels_last' } = this.options;
    return channelsLast(dataFormat, x, (x) => compute(x, { keepDims }));
  }

  override config(): Record<string, unknown> {
    return { ...this.options };
  }

  override extraRepr(): string {
    return this.options.keepDims ? 'keepdims=True' : '';
  }
}

/** The average of each channel of each image. Keras `GlobalAveragePooling2D`. [N, H, W, C] → [N, C]. */
export class GlobalAvgPool2d extends GlobalPool2d {
  forward(x: Tensor): Tensor {
    return this.inFormat(x, globalAvgPool2d);
  }
}

/** The maximum of each channel of each image. Keras `GlobalMaxPooling2D`. [N, H, W, C] → [N, C]. */
export class GlobalMaxPool2d extends GlobalPool2d {
  forward(x: Tensor): Tensor {
    return this.inFormat(x, globalMaxPool2d);
  }
}

registerModule('MaxPool2d', MaxPool2d, ({ kernelSize, ...options }) => new MaxPool2d(kernelSize, options));
registerModule('AvgPool2d', AvgPool2d, ({ kernelSize, ...options }) => new AvgPool2d(kernelSize, options));
registerModule('AdaptiveAvgPool2d', AdaptiveAvgPool2d, ({ outputSize }) => new AdaptiveAvgPool2d(outputSize));
registerModule('AdaptiveMaxPool2d', AdaptiveMaxPool2d, ({ outputSize }) => new AdaptiveMaxPool2d(outputSize));
registerModule('GlobalAvgPool2d', GlobalAvgPool2d);
registerModule('GlobalMaxPool2d', GlobalMaxPool2d);
