import { groupNorm, layerNorm } from '../ops';
import { ones, zeros, type Shape, type Tensor } from '../tensor';
import { ConvgradError } from '../errors';
import { Module } from './module';
import { channelsOf, positive } from './options';
import { Parameter } from './parameter';
import { bool, float, tuple } from './print';
import { registerModule } from './registry';

export interface LayerNormOptions {
  /** Added to the variance. Default 1e-5. */
  eps?: number;
  /** Whether there is a scale (`weight`), and with `bias` an offset. Default true. */
  elementwiseAffine?: boolean;
  /** Whether there is an offset. Default: `elementwiseAffine`. */
  bias?: boolean;
}

/**
 * Normalises the last axes of each sample by their own mean and variance. PyTorch `LayerNorm`, Keras
 * `LayerNormalization`. Any shape that ends in `normalizedShape` → the same; `weight` and `bias` have that shape.
 */
export class LayerNorm extends Module {
  weight: Parameter | null = null;
  bias: Parameter | null = null;
  normalizedShape: Shape | null = null;
  readonly eps: number;
  readonly #rank: number;
  readonly #options: LayerNormOptions;

  /** @param normalizedShape or `{ rank }`, the number of last axes, whose sizes the first input tells */
  constructor(normalizedShape: number | Shape | { rank: number }, options: LayerNormOptions = {}) {
    super();
    this.#options = options;
    this.eps = options.eps ?? 1e-5;
    if (typeof normalizedShape === 'object' && 'rank' in normalizedShape) {
      this.#rank = positive('LayerNorm', 'rank', normalizedShape.rank);
      this.makeWeights = (shape) => this.#initialize(shape.slice(-this.#rank));
    } else {
      const shape = typeof normalizedShape === 'number' ? [normalizedShape] : normalizedShape;
      this.#rank = shape.length;
      this.#initialize(shape);
    }
  }

  #initialize(shape: Shape): void {
    if (shape.length !== this.#rank || shape.length === 0) {
      throw new ConvgradError(
        'ERR_SHAPE',
        `LayerNorm: wants ${this.#rank} axes besides the batch, got [${shape.join(', ')}]`,
      );
    }
    for (const dim of shape) positive('LayerNorm', 'normalizedShape', dim);
    const { elementwiseAffine = true, bias = elementwiseAffine } = this.#options;
    if (elementwiseAffine) this.weight = new Parameter(ones(shape));
    if (bias) this.bias = new Parameter(zeros(shape));
    this.normalizedShape = shape;
  }

  forward(x: Tensor): Tensor {
    const { weight: gamma, bias: beta, eps: epsilon, normalizedShape } = this;
    if (normalizedShape!.some((dim, i) => x.shape[x.rank - this.#rank + i] !== dim)) {
      throw new ConvgradError(
        'ERR_SHAPE',
        `x must end in [${normalizedShape!.join(', ')}], got [${x.shape.join(', ')}]`,
      );
    }
    return layerNorm(x, { gamma, beta, epsilon, normalizedRank: this.#rank });
  }

  override config(): Record<string, unknown> {
    return { normalizedShape: this.normalizedShape ?? { rank: this.#rank }, ...this.#options };
  }

  override extraRepr(): string {
    const { elementwiseAffine = true, bias = elementwiseAffine } = this.#options;
    const shape = this.normalizedShape ? tuple(this.normalizedShape) : '?';
    return `${shape}, eps=${float(this.eps)}, elementwise_affine=${bool(elementwiseAffine)}, bias=${bool(bias)}`;
  }
}

export interface GroupNormOptions {
  /** Added to the variance. Default 1e-5. */
  eps?: number;
  /** Whether there are a scale (`weight`) and an offset (`bias`). Default true. */
  affine?: boolean;
  /** Whether there is a scale. Default: `affine`. */
  scale?: boolean;
  /** Whether there is an offset. Default: `affine`. */
  center?: boolean;
}

/**
 * Normalises each group of neighbouring channels of each sample. PyTorch `GroupNorm`, Keras `GroupNormalization`.
 * [N, ..., C] → the same; `weight` and `bias` are [C].
 */
export class GroupNorm extends Module {
  weight: Parameter | null = null;
  bias: Parameter | null = null;
  numChannels: number | null;
  readonly eps: number;
  readonly #options: GroupNormOptions;

  /** @param numGroups -1: a group for each channel, as in Keras */
  constructor(
    readonly numGroups: number,
    numChannels: number | null,
    options: GroupNormOptions = {},
  ) {
    super();
    if (numGroups !== -1) positive('GroupNorm', 'numGroups', numGroups);
    this.#options = options;
    this.eps = options.eps ?? 1e-5;
    this.numChannels = numChannels;
    if (numChannels !== null) this.#initialize(numChannels);
    else this.makeWeights = (shape) => this.#initialize(channelsOf(this.type, shape));
  }

  #initialize(channels: number): void {
    if (positive('GroupNorm', 'numChannels', channels) % this.#groups(channels) !== 0) {
      throw new ConvgradError(
        'ERR_VALUE',
        `GroupNorm: numGroups must divide the channels, got ${this.numGroups} for ${channels}`,
      );
    }
    const { affine = true, scale = affine, center = affine } = this.#options;
    if (scale) this.weight = new Parameter(ones([channels]));
    if (center) this.bias = new Parameter(zeros([channels]));
    this.numChannels = channels;
  }

  #groups(channels: number): number {
    return this.numGroups === -1 ? channels : this.numGroups;
  }

  forward(x: Tensor): Tensor {
    const { weight: gamma, bias: beta, eps: epsilon } = this;
    return groupNorm(x, { groups: this.#groups(this.numChannels!), gamma, beta, epsilon });
  }

  override config(): Record<string, unknown> {
    return { numGroups: this.numGroups, numChannels: this.numChannels, ...this.#options };
  }

  override extraRepr(): string {
    const { affine = true, scale = affine, center = affine } = this.#options;
    return `${this.numGroups}, ${this.numChannels ?? '?'}, eps=${float(this.eps)}, affine=${bool(scale)}, bias=${bool(center)}`;
  }
}

registerModule('LayerNorm', LayerNorm, ({ normalizedShape, ...options }) => new LayerNorm(normalizedShape, options));
registerModule(
  'GroupNorm',
  GroupNorm,
  ({ numGroups, numChannels, ...options }) => new GroupNorm(numGroups, numChannels, options),
);
