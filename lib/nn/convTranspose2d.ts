import { ConvgradError } from '../errors';
import { convTranspose2d, type Pair } from '../ops';
import type { Tensor } from '../tensor';
import type { Epilogue } from './activations';
import { Convolution, withKernelSize, type ConvolutionOptions } from './convolution';
import { fansOf } from './init';
import { channelsLast, pairText, positive } from './options';
import type { Parameter } from './parameter';
import { registerModule } from './registry';

export interface ConvTranspose2dOptions extends ConvolutionOptions {
  /** Rows and columns added to the output at the bottom and on the right. Default 0, or Keras's rule with `'same'`. */
  outputPadding?: Pair;
  /** Input and output channels are cut into so many groups, which do not see each other. Default 1. */
  groups?: number;
}

/**
 * Transposed convolution: what the gradient of a convolution does to its output. PyTorch `ConvTranspose2d`, Keras
 * `Conv2DTranspose`. `padding` crops the output; with `'same'` it is the input times the stride.
 *
 * [N, P, Q, inChannels] → [N, H, W, outChannels]; `weight` is [R, S, outChannels / groups, inChannels], `bias`
 * [outChannels].
 */
export class ConvTranspose2d extends Convolution {
  weight!: Parameter;
  bias: Parameter | null = null;
  inChannels: number | null;
  readonly groups: number;
  readonly outputPadding: Pair | undefined;

  constructor(inChannels: number | null, outChannels: number, options: ConvTranspose2dOptions);
  constructor(
    inChannels: number | null,
    outChannels: number,
    kernelSize: Pair,
    options?: Omit<ConvTranspose2dOptions, 'kernelSize'>,
  );
  constructor(
    inChannels: number | null,
    readonly outChannels: number,
    kernelSize: Pair | ConvTranspose2dOptions,
    rest?: Omit<ConvTranspose2dOptions, 'kernelSize'>,
  ) {
    const options = withKernelSize<ConvTranspose2dOptions>(kernelSize, rest);
    super(options);
    positive('ConvTranspose2d', 'outChannels', outChannels);
    this.groups = positive('ConvTranspose2d', 'groups', options.groups ?? 1);
    this.outputPadding = options.outputPadding;
    this.inChannels = inChannels;
    this.initialize(inChannels, (channels) => this.#makeWeights(channels));
  }

  #makeWeights(channels: number): void {
    if (
      positive('ConvTranspose2d', 'inChannels', channels) % this.groups !== 0 ||
      this.outChannels % this.groups !== 0
    ) {
      throw new ConvgradError(
        'ERR_VALUE',
        `ConvTranspose2d: groups must divide inChannels and outChannels, got ${this.groups} for ${channels} and ${this.outChannels}`,
      );
    }
    const shape = [...this.kernelSize, this.outChannels / this.groups, channels];
    this.weight = this.kernel(shape, fansOf(shape)); // PyTorch and Keras both take the output for the input here
    this.bias = this.biasOf(this.outChannels, fansOf(shape));
    this.inChannels = channels;
  }

  protected compute(x: Tensor, activation: Epilogue | 'none'): Tensor {
    const { stride, padding, dilation, groups, outputPadding } = this;
    return channelsLast(this.dataFormat, x, (x) =>
      convTranspose2d(x, this.weight, this.bias, { stride, padding, dilation, groups, outputPadding, activation }),
    );
  }

  override config(): Record<string, unknown> {
    return { inChannels: this.inChannels, outChannels: this.outChannels, ...super.config() };
  }

  override extraRepr(): string {
    const { outputPadding, groups } = this;
    return this.describe(`${this.inChannels ?? '?'}, ${this.outChannels}`, [
      ...(outputPadding === undefined || outputPadding === 0 ? [] : [`output_padding=${pairText(outputPadding)}`]),
      ...(groups === 1 ? [] : [`groups=${groups}`]),
    ]);
  }
}

registerModule(
  'ConvTranspose2d',
  ConvTranspose2d,
  ({ inChannels, outChannels, ...options }) => new ConvTranspose2d(inChannels, outChannels, options),
);
