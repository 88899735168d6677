import { conv2d, depthwiseConv2d, type Pair } from '../ops';
import type { Tensor } from '../tensor';
import type { Epilogue } from './activations';
import { Convolution, withKernelSize, type ConvolutionOptions } from './convolution';
import { depthwiseFans, type DepthwiseConv2dOptions } from './depthwiseConv2d';
import { fansOf, resolveInitializer, type Initializer } from './init';
import { channelsLast, positive } from './options';
import { Parameter } from './parameter';
import { registerModule } from './registry';

export interface SeparableConv2dOptions extends DepthwiseConv2dOptions {
  /** For the 1×1 convolution. Default: `kernelInitializer`. */
  pointwiseInitializer?: Initializer;
}

/**
 * A convolution of each channel by itself, then a 1×1 convolution that mixes them. Keras `SeparableConv2D`.
 *
 * [N, H, W, inChannels] → [N, P, Q, outChannels]; `depthwiseWeight` is [R, S, inChannels, M], `pointwiseWeight`
 * [1, 1, inChannels·M, outChannels], `bias` [outChannels].
 */
export class SeparableConv2d extends Convolution {
  depthwiseWeight!: Parameter;
  pointwiseWeight!: Parameter;
  bias: Parameter | null = null;
  inChannels: number | null;
  readonly depthMultiplier: number;

  constructor(inChannels: number | null, outChannels: number, options: SeparableConv2dOptions);
  constructor(
    inChannels: number | null,
    outChannels: number,
    kernelSize: Pair,
    options?: Omit<SeparableConv2dOptions, 'kernelSize'>,
  );
  constructor(
    inChannels: number | null,
    readonly outChannels: number,
    kernelSize: Pair | SeparableConv2dOptions,
    rest?: Omit<SeparableConv2dOptions, 'kernelSize'>,
  ) {
    const options: SeparableConv2dOptions = withKernelSize<SeparableConv2dOptions>(kernelSize, rest);
    super(options satisfies ConvolutionOptions);
    positive('SeparableConv2d', 'outChannels', outChannels);
    this.depthMultiplier = positive('SeparableConv2d', 'depthMultiplier', options.depthMultiplier ?? 1);
    this.inChannels = inChannels;
    this.initialize(inChannels, (channels) => {
      const depthwise = [...this.kernelSize, positive('SeparableConv2d', 'inChannels', channels), this.depthMultiplier];
      const pointwise = [1, 1, channels * this.depthMultiplier, outChannels];
      const initializer = options.pointwiseInitializer ?? options.kernelInitializer ?? 'fanInUniform';
      this.depthwiseWeight = this.kernel(depthwise, depthwiseFans(depthwise, options.kernelInitializer));
      this.pointwiseWeight = new Parameter(resolveInitializer(initializer)(pointwise, fansOf(pointwise)));
      this.bias = this.biasOf(outChannels, fansOf(pointwise));
      this.inChannels = channels;
    });
  }

  protected compute(x: Tensor, activation: Epilogue | 'none'): Tensor {
    const { stride, padding, dilation } = this;
    return channelsLast(this.dataFormat, x, (x) =>
      conv2d(
        depthwiseConv2d(x, this.depthwiseWeight, null, { stride, padding, dilation }),
        this.pointwiseWeight,
        this.bias,
        {
          activation,
        },
      ),
    );
  }

  override config(): Record<string, unknown> {
    const { pointwiseInitializer } = this.options as SeparableConv2dOptions;
    return {
      inChannels: this.inChannels,
      outChannels: this.outChannels,
      ...super.config(),
      pointwiseInitializer: typeof pointwiseInitializer === 'string' ? pointwiseInitializer : undefined,
    };
  }

  override extraRepr(): string {
    const multiplier = this.depthMultiplier === 1 ? [] : [`depth_multiplier=${this.depthMultiplier}`];
    return this.describe(`${this.inChannels ?? '?'}, ${this.outChannels}`, multiplier);
  }
}

registerModule(
  'SeparableConv2d',
  SeparableConv2d,
  ({ inChannels, outChannels, ...options }) => new SeparableConv2d(inChannels, outChannels, options),
);
