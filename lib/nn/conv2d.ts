import { ConvgradError } from '../errors';
import { conv2d, type Pair } from '../ops';
import type { Tensor } from '../tensor';
import type { Epilogue } from './activations';
import { Convolution, withKernelSize, type ConvolutionOptions } from './convolution';
import { fansOf } from './init';
import { channelsLast, positive } from './options';
import type { Parameter } from './parameter';
import { registerModule } from './registry';

export interface Conv2dOptions extends ConvolutionOptions {
  /** Input and output channels are cut into so many groups, which do not see each other. Default 1. */
  groups?: number;
}

/**
 * Two-dimensional convolution. PyTorch `Conv2d`, Keras `Conv2D`.
 *
 *     new nn.Conv2d(3, 32, { kernelSize: 3, padding: 1 })
 *     new nn.Conv2d(3, 32, 3, { padding: 1 })
 *
 * [N, H, W, inChannels] → [N, P, Q, outChannels]; `weight` is [R, S, inChannels / groups, outChannels], `bias` [outChannels].
 * With `null` for the input channels, the weights are made when the first input comes.
 */
export class Conv2d extends Convolution {
  weight!: Parameter;
  bias: Parameter | null = null;
  inChannels: number | null;
  readonly groups: number;

  constructor(inChannels: number | null, outChannels: number, options: Conv2dOptions);
  constructor(
    inChannels: number | null,
    outChannels: number,
    kernelSize: Pair,
    options?: Omit<Conv2dOptions, 'kernelSize'>,
  );
  constructor(
    inChannels: number | null,
    readonly outChannels: number,
    kernelSize: Pair | Conv2dOptions,
    rest?: Omit<Conv2dOptions, 'kernelSize'>,
  ) {
    const options = withKernelSize<Conv2dOptions>(kernelSize, rest);
    super(options);
    positive('Conv2d', 'outChannels', outChannels);
    this.groups = positive('Conv2d', 'groups', options.groups ?? 1);
    this.inChannels = inChannels;
    this.initialize(inChannels, (channels) => this.#makeWeights(channels));
  }

  #makeWeights(channels: number): void {
    if (positive('Conv2d', 'inChannels', channels) % this.groups !== 0 || this.outChannels % this.groups !== 0) {
      throw new ConvgradError(
        'ERR_VALUE',
        `Conv2d: groups must divide inChannels and outChannels, got ${this.groups} for ${channels} and ${this.outChannels}`,
      );
    }
    const shape = [...this.kernelSize, channels / this.groups, this.outChannels];
    this.weight = this.kernel(shape, fansOf(shape));
    this.bias = this.biasOf(this.outChannels, fansOf(shape));
    this.inChannels = channels;
  }

  protected compute(x: Tensor, activation: Epilogue | 'none'): Tensor {
    const { stride, padding, dilation, groups } = this;
    return channelsLast(this.dataFormat, x, (x) =>
      conv2d(x, this.weight, this.bias, { stride, padding, dilation, groups, activation }),
    );
  }

  override config(): Record<string, unknown> {
    return { inChannels: this.inChannels, outChannels: this.outChannels, ...super.config() };
  }

  override extraRepr(): string {
    const groups = this.groups === 1 ? [] : [`groups=${this.groups}`];
    return this.describe(`${this.inChannels ?? '?'}, ${this.outChannels}`, groups);
  }
}

registerModule(
  'Conv2d',
  Conv2d,
  ({ inChannels, outChannels, ...options }) => new Conv2d(inChannels, outChannels, options),
);
