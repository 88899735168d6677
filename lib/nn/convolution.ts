import type { Padding2d, Pair } from '../ops';
import type { Shape } from '../tensor';
import { ActivatedLayer } from './activated';
import type { Activation } from './activations';
import { resolveInitializer, type Fans, type Initializer } from './init';
import { channelsOf, pairOf, paddingText, type DataFormat } from './options';
import { Parameter } from './parameter';
import { tuple } from './print';

/** What all convolutions take, in PyTorch's words. */
export interface ConvolutionOptions {
  /** Height and width of the kernel. */
  kernelSize: Pair;
  /** Default 1. */
  stride?: Pair;
  /** Default 0. See `Padding2d`. */
  padding?: Padding2d;
  /** Distance of the kernel's taps. Default 1. */
  dilation?: Pair;
  /** Whether a bias is added. Default true. */
  bias?: boolean;
  /** Applied to the output, as in Keras. Default none. */
  activation?: Activation | null;
  /** Default `'fanInUniform'`, PyTorch's. */
  kernelInitializer?: Initializer;
  /** Default `'fanInUniform'`, PyTorch's. */
  biasInitializer?: Initializer;
  /** The layout of inputs and outputs. Default `'channels_last'`: [N, H, W, C]. */
  dataFormat?: DataFormat;
}

/** Options as the last argument, or the kernel's size in its place: `(3, 32, 3)`, `(3, 32, 3, { padding: 1 })`. */
export function withKernelSize<O extends { kernelSize: Pair }>(
  kernelSize: Pair | O,
  options: Partial<Omit<O, 'kernelSize'>> = {},
): O {
  const isOptions = typeof kernelSize === 'object' && kernelSize !== null && !Array.isArray(kernelSize);
  return (isOptions ? kernelSize : { ...options, kernelSize }) as O;
}

/** What all convolutions have. Subclasses say which weights there are. */
export abstract class Convolution extends ActivatedLayer {
  readonly kernelSize: readonly [number, number];
  readonly stride: Pair;
  readonly padding: Padding2d;
  readonly dilation: Pair;
  readonly dataFormat: DataFormat;
  protected readonly options: ConvolutionOptions;

  constructor(options: ConvolutionOptions) {
    super(options.activation);
    this.kernelSize = pairOf(this.constructor.name, 'kernelSize', options.kernelSize);
    this.stride = options.stride ?? 1;
    this.padding = options.padding ?? 0;
    this.dilation = options.dilation ?? 1;
    this.dataFormat = options.dataFormat ?? 'channels_last';
    this.options = options;
  }

  /** Makes the weights now where the number of input channels is known, else when the first input comes. */
  protected initialize(inChannels: number | null, make: (inChannels: number) => void): void {
    if (inChannels === null) this.makeWeights = (shape) => make(channelsOf(this.type, shape, this.dataFormat));
    else make(inChannels);
  }

  protected kernel(shape: Shape, fans: Fans): Parameter {
    return new Parameter(resolveInitializer(this.options.kernelInitializer ?? 'fanInUniform')(shape, fans));
  }

  protected biasOf(channels: number, fans: Fans): Parameter | null {
    if (this.options.bias === false) return null;
    return new Parameter(resolveInitializer(this.options.biasInitializer ?? 'fanInUniform')([channels], fans));
  }

  override config(): Record<string, unknown> {
    const named = (initializer: Initializer | undefined): string | undefined =>
      typeof initializer === 'string' ? initializer : undefined; // a function is not needed again: weights get loaded
    const { kernelInitializer, biasInitializer } = this.options;
    return {
      ...this.options,
      ...super.config(),
      kernelInitializer: named(kernelInitializer),
      biasInitializer: named(biasInitializer),
    };
  }

  /** PyTorch's line; `more` goes before the bias. */
  protected describe(channels: string, more: string[] = []): string {
    const pair = (value: Pair): string => tuple(pairOf(this.constructor.name, '', value));
    const padding = paddingText(this.padding);
    return [
      channels,
      `kernel_size=${tuple(this.kernelSize)}`,
      `stride=${pair(this.stride)}`,
      ...(padding ? [`padding=${padding}`] : []),
      ...(pair(this.dilation) === '(1, 1)' ? [] : [`dilation=${pair(this.dilation)}`]),
      ...more,
      ...(this.options.bias === false ? ['bias=False'] : []),
    ].join(', ');
  }
}
