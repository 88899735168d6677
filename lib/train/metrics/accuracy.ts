import { ConvgradError } from '../../errors';
import { cast, equal, greater, reshape, sum } from '../../ops';
import type { DType, Tensor, TypedArray } from '../../tensor';
import { classesOf, columnsOf, Metric, misfit, sparse } from './metric';

/** A share of hits. */
abstract class HitRate extends Metric {
  /** Answers that each sample gives: one, or one a pixel. */
  protected perSample = 1;
  private hits = 0;
  private count = 0;

  protected addHits(hits: number, samples: number): void {
    this.hits += hits;
    this.count += samples * this.perSample;
  }

  result(): number {
    return this.hits / this.count;
  }
}

/** The answers that each sample of a batch gives. */
function answersPerSample(answers: number, prediction: Tensor): number {
  return answers / (prediction.shape[0] ?? 1);
}

/**
 * The share of samples whose class is predicted. Predictions [..., C] with labels [...] or one-hot [..., C], or scores of
 * the positive class (see `threshold`).
 */
export class Accuracy extends HitRate {
  readonly name: string;

  constructor(override readonly options: { name?: string; threshold?: number } = {}) {
    super(options);
    this.name = options.name ?? 'accuracy';
  }

  measure(prediction: Tensor, target: Tensor<DType>): Tensor<DType>[] {
    const { predicted, actual } = classesOf(this.name, prediction, target, this.options.threshold ?? 0.5);
    this.perSample = answersPerSample(actual.size, prediction);
    return [sum(cast(equal(predicted, actual), 'float32'))];
  }

  add([hits]: readonly TypedArray[], samples: number): void {
    this.addHits(hits![0]!, samples);
  }
}

/** The share of elements that are on the right side of the threshold; labels have the predictions' shape. */
export class BinaryAccuracy extends HitRate {
  readonly name: string;

  constructor(override readonly options: { name?: string; threshold?: number } = {}) {
    super(options);
    this.name = options.name ?? 'binaryAccuracy';
  }

  measure(prediction: Tensor, target: Tensor<DType>): Tensor<DType>[] {
    const size = prediction.size;
    if (target.size !== size) throw misfit(this.name, prediction, target);
    const predicted = reshape(greater(prediction, this.options.threshold ?? 0.5), [size]);
    const actual = reshape(greater(cast(target, 'float32'), 0.5), [size]);
    this.perSample = answersPerSample(size, prediction);
    return [sum(cast(equal(predicted, actual), 'float32'))];
  }

  add([hits]: readonly TypedArray[], samples: number): void {
    this.addHits(hits![0]!, samples);
  }
}

/** The share of samples whose class is among the k highest scores [..., C]. A tie counts for the class. */
export class TopK extends HitRate {
  readonly name: string;
  private columns = 0;

  constructor(override readonly options: { k?: number; name?: string } = {}) {
    super(options);
    const { k = 5 } = options;
    if (!(Number.isInteger(k) && k > 0)) {
      throw new ConvgradError('ERR_VALUE', `TopK: k must be a positive integer, got ${k}`);
    }
    this.name = options.name ?? 'topK';
  }

  measure(prediction: Tensor, target: Tensor<DType>): Tensor<DType>[] {
    this.columns = columnsOf(prediction);
    this.perSample = answersPerSample(prediction.size / this.columns, prediction);
    return [sparse(this.name, prediction, target), prediction];
  }

  add([labels, scores]: readonly TypedArray[], samples: number): void {
    const { k = 5 } = this.options;
    let hits = 0;
    for (const [row, label] of labels!.entries()) {
      const own = scores![row * this.columns + label]!;
      let better = 0;
      for (let i = row * this.columns; i < (row + 1) * this.columns; i++) {
        // Not `>`: what is compared with NaN counts as better.
        if (!(scores![i]! <= own) && i !== row * this.columns + label) better += 1;
      }
      if (better < k && !Number.isNaN(own)) hits += 1;
    }
    this.addHits(hits, samples);
  }
}
