import { noGrad } from '../autograd';
import { ConvgradError } from '../errors';
import { keep, tidy } from '../memory';
import type { DType } from '../native';
import { add, cast, div, maximum, mean, mul, sqrt, sub, variance } from '../ops';
import { ones, Tensor, tensor, zeros, type Shape } from '../tensor';
import { Module } from './module';
import { channelsOf, show } from './options';
import { Buffer } from './parameter';
import { registerModule } from './registry';

/** A number, or one for each channel. */
export type PerChannel = number | readonly number[];

/** Integers, such as the bytes of images, become float32. */
function asFloat(x: Tensor<DType>): Tensor {
  return x.dtype === 'float32' ? (x as Tensor<DType> as Tensor) : cast(x, 'float32');
}

/** A factor for every call: a list becomes a tensor once. */
const operand = (value: PerChannel): number | Tensor =>
  typeof value === 'number' ? value : keep(tensor(Float32Array.from(value)));

/** `x · scale + offset`, channel by channel if lists are given; takes bytes too. Keras `Rescaling`. */
export class Rescaling extends Module {
  // Options, not state: tensors, but neither parameters nor buffers.
  readonly factor: number | Tensor;
  readonly term: number | Tensor;

  constructor(
    readonly scale: PerChannel,
    readonly offset: PerChannel = 0,
  ) {
    super();
    this.factor = operand(scale);
    this.term = operand(offset);
  }

  forward(x: Tensor<DType>): Tensor {
    const scaled = mul(asFloat(x), this.factor);
    return this.offset === 0 ? scaled : add(scaled, this.term);
  }

  override config(): Record<string, unknown> {
    return { scale: this.scale, offset: this.offset };
  }

  override extraRepr(): string {
    return `scale=${show(this.scale)}, offset=${show(this.offset)}`;
  }
}

export interface NormalizationOptions {
  /** -1: a mean and a variance for each channel (default); null: one for everything. */
  axis?: -1 | null;
  /** Given together; otherwise `adapt` finds them. */
  mean?: PerChannel;
  variance?: PerChannel;
  /** Whether to compute `x · std + mean` instead. Default false. */
  invert?: boolean;
}

const EPSILON = 1e-7; // Keras's: the least standard deviation

/** `(x - mean) / std`, with a mean and a variance that are given or learnt by `adapt(data)`. Keras `Normalization`. */
export class Normalization extends Module {
  mean: Buffer | null = null;
  variance: Buffer | null = null;
  readonly #options: NormalizationOptions;

  constructor(options: NormalizationOptions = {}) {
    super();
    this.#options = options;
    if ((options.mean === undefined) !== (options.variance === undefined)) {
      throw new ConvgradError('ERR_VALUE', 'Normalization: mean and variance go together, got one of them');
    }
    if (options.axis !== undefined && options.axis !== -1 && options.axis !== null) {
      throw new ConvgradError('ERR_VALUE', `Normalization: axis must be -1 or null, got ${String(options.axis)}`);
    }
    if (options.axis === null) this.#initialize([]);
    else this.makeWeights = (shape) => this.#initialize([channelsOf(this.type, shape)]);
  }

  #initialize(shape: Shape): void {
    const values = (given: PerChannel | undefined, initial: (shape: Shape) => Tensor): Tensor => {
      if (given === undefined) return initial(shape);
      const list = typeof given === 'number' ? Array.from({ length: shape[0] ?? 1 }, () => given) : [...given];
      return tensor(list, shape);
    };
    this.mean = new Buffer(values(this.#options.mean, zeros));
    this.variance = new Buffer(values(this.#options.variance, ones));
  }

  forward(x: Tensor<DType>): Tensor {
    const std = maximum(sqrt(this.variance!), EPSILON);
    if (this.#options.invert) return add(mul(asFloat(x), std), this.mean!);
    return div(sub(asFloat(x), this.mean!), std);
  }

  /**
   * Sets mean and variance to those of the data: one tensor [N, ..., C], or batches of them. Batches from an iterable
   * are the caller's to dispose.
   */
  async adapt(data: Tensor<DType> | Iterable<Tensor<DType>> | AsyncIterable<Tensor<DType>>): Promise<void> {
    let total: Moments | null = null;
    for await (const batch of data instanceof Tensor ? [data] : data) {
      if (this.makeWeights) this.build(batch.shape.slice(1));
      total = merge(total, await this.#momentsOf(batch));
    }
    if (!total) throw new ConvgradError('ERR_VALUE', 'Normalization: adapt got no data');
    tidy(() => {
      this.mean!.assign(tensor(Float32Array.from(total.mean), this.mean!.shape));
      this.variance!.assign(tensor(Float32Array.from(total.variance), this.variance!.shape));
    });
  }

  async #momentsOf(batch: Tensor<DType>): Promise<Moments> {
    const axes = [...batch.shape.keys()].slice(0, this.#options.axis === null ? batch.rank : -1);
    const [batchMean, batchVariance] = tidy(() =>
      noGrad(() => [mean(asFloat(batch), axes), variance(asFloat(batch), axes)] as const),
    );
    try {
      const count = batch.size / batchMean.size;
      return { count, mean: Array.from(await batchMean.data()), variance: Array.from(await batchVariance.data()) };
    } finally {
      batchMean.dispose();
      batchVariance.dispose();
    }
  }

  override config(): Record<string, unknown> {
    return { ...this.#options };
  }
}

interface Moments {
  count: number;
  mean: number[];
  variance: number[];
}

/** Mean and variance of two sets together. */
function merge(a: Moments | null, b: Moments): Moments {
  if (!a) return b;
  const count = a.count + b.count;
  const share = b.count / count;
  return {
    count,
    mean: a.mean.map((mean, i) => mean + (b.mean[i]! - mean) * share),
    variance: a.variance.map((variance, i) => {
      const gap = b.mean[i]! - a.mean[i]!;
      return variance + (b.variance[i]! - variance) * share + gap * gap * share * (1 - share);
    }),
  };
}

registerModule('Rescaling', Rescaling, ({ scale, offset }) => new Rescaling(scale, offset));
registerModule('Normalization', Normalization);
