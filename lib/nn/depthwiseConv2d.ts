import { depthwiseConv2d, type Pair } from '../ops';
import type { Tensor } from '../tensor';
import type { Epilogue } from './activations';
import { Convolution, withKernelSize, type ConvolutionOptions } from './convolution';
import { fansOf, type Fans } from './init';
import { channelsLast, positive } from './options';
import type { Parameter } from './parameter';
import { registerModule } from './registry';

export interface DepthwiseConv2dOptions extends ConvolutionOptions {
  /** Output channels for each input channel. Default 1. */
  depthMultiplier?: number;
}

/** The fans of a depthwise weight [R, S, C, M]: each output sees one channel, unless Keras's rule is asked for by name. */
export function depthwiseFans([r, s, channels, multiplier]: readonly number[], initializer: unknown): Fans {
  if (initializer !== undefined) return fansOf([r!, s!, channels!, multiplier!]);
  return { fanIn: r! * s!, fanOut: r! * s! * multiplier! };
}

/**
 * Convolution of each channel by itself. Keras `DepthwiseConv2D`; PyTorch's `Conv2d` with as many groups as channels.
 *
 * [N, H, W, C] → [N, P, Q, C·M]; `weight` is [R, S, C, M], `bias` [C·M].
 */
export class DepthwiseConv2d extends Convolution {
  weight!: Parameter;
  bias: Parameter | null = null;
  channels: number | null;
  readonly depthMultiplier: number;

  constructor(channels: number | null, options: DepthwiseConv2dOptions);
  constructor(channels: number | null, kernelSize: Pair, options?: Omit<DepthwiseConv2dOptions, 'kernelSize'>);
  constructor(
    channels: number | null,
    kernelSize: Pair | DepthwiseConv2dOptions,
    rest?: Omit<DepthwiseConv2dOptions, 'kernelSize'>,
  ) {
    const options = withKernelSize<DepthwiseConv2dOptions>(kernelSize, rest);
    super(options);
    this.depthMultiplier = positive('DepthwiseConv2d', 'depthMultiplier', options.depthMultiplier ?? 1);
    this.channels = channels;
    this.initialize(channels, (count) => {
      const shape = [...this.kernelSize, positive('DepthwiseConv2d', 'channels', count), this.depthMultiplier];
      const fans = depthwiseFans(shape, options.kernelInitializer);
      this.weight = this.kernel(shape, fans);
      this.bias = this.biasOf(count * this.depthMultiplier, fans);
      this.channels = count;
    });
  }

  protected compute(x: Tensor, activation: Epilogue | 'none'): Tensor {
    const { stride, padding, dilation } = this;
    return channelsLast(this.dataFormat, x, (x) =>
      depthwiseConv2d(x, this.weight, this.bias, { stride, padding, dilation, activation }),
    );
  }

  override config(): Record<string, unknown> {
    return { channels: this.channels, ...super.config() };
  }

  override extraRepr(): string {
    const multiplier = this.depthMultiplier === 1 ? [] : [`depth_multiplier=${this.depthMultiplier}`];
    return this.describe(String(this.channels ?? '?'), multiplier);
  }
}

registerModule(
  'DepthwiseConv2d',
  DepthwiseConv2d,
  ({ channels, ...options }) => new DepthwiseConv2d(channels, options),
);
