import { linear } from '../ops';
import type { Tensor } from '../tensor';
import { ActivatedLayer } from './activated';
import type { Activation, Epilogue } from './activations';
import { fansOf, resolveInitializer, type Initializer } from './init';
import { checkFeatures } from './location';
import { channelsOf, positive } from './options';
import { Parameter } from './parameter';
import { bool } from './print';
import { registerModule } from './registry';

export interface LinearOptions {
  /** Whether a bias is added. Default true. */
  bias?: boolean;
  /** Applied to the output, as in Keras. Default none. */
  activation?: Activation | null;
  /** Default `'fanInUniform'`, PyTorch's. */
  kernelInitializer?: Initializer;
  /** Default `'fanInUniform'`, PyTorch's. */
  biasInitializer?: Initializer;
}

/**
 * A dense layer: `x·weight + bias` over the last axis. PyTorch `Linear`, Keras `Dense`.
 *
 *     new nn.Linear(64 * 6 * 6, 64)
 *
 * [..., inFeatures] → [..., outFeatures]; `weight` is [inFeatures, outFeatures], `bias` [outFeatures]. With `null` for
 * the input features, the weights are made when the first input comes.
 */
export class Linear extends ActivatedLayer {
  weight!: Parameter;
  bias: Parameter | null = null;
  inFeatures: number | null;
  readonly #options: LinearOptions;

  constructor(
    inFeatures: number | null,
    readonly outFeatures: number,
    options: LinearOptions = {},
  ) {
    super(options.activation);
    positive('Linear', 'outFeatures', outFeatures);
    this.#options = options;
    this.inFeatures = inFeatures;
    if (inFeatures !== null) this.#initialize(inFeatures);
    else this.makeWeights = (shape) => this.#initialize(channelsOf(this.type, shape));
  }

  #initialize(inFeatures: number): void {
    const { bias = true, kernelInitializer = 'fanInUniform', biasInitializer = 'fanInUniform' } = this.#options;
    const shape = [positive('Linear', 'inFeatures', inFeatures), this.outFeatures];
    this.weight = new Parameter(resolveInitializer(kernelInitializer)(shape, fansOf(shape)));
    this.bias = bias ? new Parameter(resolveInitializer(biasInitializer)([this.outFeatures], fansOf(shape))) : null;
    this.inFeatures = inFeatures;
  }

  protected compute(x: Tensor, activation: Epilogue | 'none'): Tensor {
    checkFeatures(x, this.inFeatures!);
    return linear(x, this.weight, this.bias, { activation });
  }

  override config(): Record<string, unknown> {
    const { bias, kernelInitializer: kernel, biasInitializer } = this.#options;
    return {
      inFeatures: this.inFeatures,
      outFeatures: this.outFeatures,
      bias,
      ...super.config(),
      kernelInitializer: typeof kernel === 'string' ? kernel : undefined,
      biasInitializer: typeof biasInitializer === 'string' ? biasInitializer : undefined,
    };
  }

  override extraRepr(): string {
    const bias = bool(this.#options.bias ?? true);
    return `in_features=${this.inFeatures ?? '?'}, out_features=${this.outFeatures}, bias=${bias}`;
  }
}

registerModule(
  'Linear',
  Linear,
  ({ inFeatures, outFeatures, ...options }) => new Linear(inFeatures, outFeatures, options),
);
