import { ConvgradError } from '../../errors';
import type { DType, Tensor, TypedArray } from '../../tensor';
import { Metric } from './metric';

/** A metric of one's own: one number for a batch, the mean over its samples, from what the model predicts and the labels. */
export type BatchFunction = (prediction: Tensor, target: Tensor<DType>) => Tensor;

/** The mean of a function over the batches, weighted by their sizes. */
export class MeanOf extends Metric {
  private sum = 0;
  private count = 0;

  constructor(
    readonly name: string,
    private readonly fn: BatchFunction,
  ) {
    super();
  }

  measure(prediction: Tensor, target: Tensor<DType>): Tensor<DType>[] {
    const value = this.fn(prediction, target);
    if (value.size === 1) return [value];
    throw new ConvgradError(
      'ERR_SHAPE',
      `metric ${this.name}: wanted one number for a batch, its function returned shape [${value.shape.join(', ')}]`,
    );
  }

  add([value]: readonly TypedArray[], samples: number): void {
    this.sum += value![0]! * samples;
    this.count += samples;
  }

  result(): number {
    return this.sum / this.count;
  }

  override fresh(): MeanOf {
    return new MeanOf(this.name, this.fn);
  }
}
