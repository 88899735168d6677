import { ConvgradError } from '../errors';
import { batchNorm, transpose } from '../ops';
import { ones, zeros, type Shape, type Tensor } from '../tensor';
import { resolveInitializer, type Initializer } from './init';
import { Module } from './module';
import { positive } from './options';
import { Buffer, Parameter } from './parameter';
import { bool, float } from './print';
import { registerModule } from './registry';

export interface BatchNorm2dOptions {
  /** Added to the variance. Default 1e-5. */
  eps?: number;
  /** The weight of the new batch: running = (1 - momentum) · running + momentum · batch. Default 0.1. */
  momentum?: number;
  /** Whether there are a scale (`weight`) and an offset (`bias`). Default true. */
  affine?: boolean;
  /** Whether there is a scale. Default: `affine`. */
  scale?: boolean;
  /** Whether there is an offset. Default: `affine`. */
  center?: boolean;
  /** Whether inference uses running statistics, collected in training. Default true. */
  trackRunningStats?: boolean;
  /** Whether the running variance collects the unbiased one, as in PyTorch (default), or the biased one, as in Keras. */
  unbiasedRunningVar?: boolean;
  /** The axis of the channels, counted with the batch. Default -1. */
  axis?: number;
  /** Default `'ones'`. */
  gammaInitializer?: Initializer;
  /** Default `'zeros'`. */
  betaInitializer?: Initializer;
}

/**
 * Normalises each channel: in training by the batch's mean and variance, which it also collects, in inference by the
 * collected ones. Frozen (`trainable = false`) it does as in inference. PyTorch `BatchNorm2d`, Keras `BatchNormalization`.
 *
 * [N, ..., C] of any rank → the same; `weight`, `bias`, `runningMean` and `runningVar` are [C].
 */
export class BatchNorm2d extends Module {
  weight: Parameter | null = null;
  bias: Parameter | null = null;
  runningMean: Buffer | null = null;
  runningVar: Buffer | null = null;
  numFeatures: number | null;
  readonly eps: number;
  readonly momentum: number;
  readonly axis: number;
  readonly #options: BatchNorm2dOptions;

  constructor(numFeatures: number | null, options: BatchNorm2dOptions = {}) {
    super();
    this.#options = options;
    this.eps = options.eps ?? 1e-5;
    this.momentum = options.momentum ?? 0.1;
    this.axis = options.axis ?? -1;
    this.numFeatures = numFeatures;
    if (numFeatures !== null) this.#initialize(numFeatures);
    else this.makeWeights = (shape) => this.#initialize(this.#channelsOf(shape));
  }

  #initialize(channels: number): void {
    positive('BatchNorm2d', 'numFeatures', channels);
    const { affine = true, scale = affine, center = affine, trackRunningStats = true } = this.#options;
    const { gammaInitializer = 'ones', betaInitializer = 'zeros' } = this.#options;
    const fans = { fanIn: channels, fanOut: channels };
    if (scale) this.weight = new Parameter(resolveInitializer(gammaInitializer)([channels], fans));
    if (center) this.bias = new Parameter(resolveInitializer(betaInitializer)([channels], fans));
    if (trackRunningStats) {
      this.runningMean = new Buffer(zeros([channels]));
      this.runningVar = new Buffer(ones([channels]));
    }
    this.numFeatures = channels;
  }

  #channelsOf(shape: Shape): number {
    const channels = this.axis < 0 ? shape.at(this.axis) : shape[this.axis - 1];
    if (channels !== undefined) return channels;
    throw new ConvgradError('ERR_SHAPE', `axis ${this.axis} is not one of an input of rank ${shape.length + 1}`);
  }

  forward(x: Tensor): Tensor {
    const axis = this.axis < 0 ? this.axis + x.rank : this.axis;
    if (axis === x.rank - 1 || x.rank < 2) return this.#normalize(x);
    const order = [...x.shape.keys()];
    order.push(...order.splice(axis, 1)); // the channels go last
    return transpose(
      this.#normalize(transpose(x, order)),
      order.map((_, i) => order.indexOf(i)),
    );
  }

  #normalize(x: Tensor): Tensor {
    const { weight: gamma, bias: beta, runningMean, runningVar, momentum, eps: epsilon } = this;
    return batchNorm(x, {
      gamma,
      beta,
      runningMean,
      runningVar,
      training: (this.training && this.trainable) || !runningMean,
      momentum,
      epsilon,
      unbiasedRunningVar: this.#options.unbiasedRunningVar ?? true,
    });
  }

  override config(): Record<string, unknown> {
    const { gammaInitializer, betaInitializer, ...options } = this.#options;
    return {
      numFeatures: this.numFeatures,
      ...options,
      gammaInitializer: typeof gammaInitializer === 'string' ? gammaInitializer : undefined,
      betaInitializer: typeof betaInitializer === 'string' ? betaInitializer : undefined,
    };
  }

  override extraRepr(): string {
    const { affine = true, scale = affine, center = affine, trackRunningStats = true } = this.#options;
    return (
      `${this.numFeatures ?? '?'}, eps=${float(this.eps)}, momentum=${float(this.momentum)}, affine=${bool(scale)}, ` +
      `bias=${bool(center)}, track_running_stats=${bool(trackRunningStats)}`
    );
  }
}

registerModule('BatchNorm2d', BatchNorm2d, ({ numFeatures, ...options }) => new BatchNorm2d(numFeatures, options));
