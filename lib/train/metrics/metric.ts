import { noGrad } from '../../autograd';
import { ConvgradError } from '../../errors';
import { tidy } from '../../memory';
import { argMax, cast, greater, reshape } from '../../ops';
import { sameShape, Tensor, tensor, type DType, type NestedArray, type TypedArray } from '../../tensor';

/** Labels or predictions as a user may have them. */
export type Values = Tensor<DType> | TypedArray | readonly NestedArray[];

/**
 * Something that is measured over many batches.
 *
 *     const recall = new metrics.Recall();
 *     for (const [labels, probabilities] of batches) await recall.update(probabilities, labels);
 *     recall.result();
 *
 * A metric of one's own says what to bring from the device for a batch (`measure`), and what to make of it (`add`).
 */
export abstract class Metric<R = number> {
  /** What the logs call it. */
  abstract readonly name: string;
  /** Whether `result()` is quick enough to show after every batch. */
  readonly everyBatch: boolean = true;

  /** @param options what the constructor was given */
  constructor(readonly options: object = {}) {}

  /** Enqueues the computation of what has to be known of a batch. Runs in `tidy`, right after the forward pass. */
  abstract measure(prediction: Tensor, target: Tensor<DType>): readonly Tensor<DType>[];
  /** Takes the elements of what `measure` returned, in order. `samples` is the size of the batch. */
  abstract add(measured: readonly TypedArray[], samples: number): void;
  /** The value over all that was added. */
  abstract result(): R;

  /** A metric of the same kind that has not seen anything: made by the constructor from the options. */
  fresh(): Metric<R> {
    return new (this.constructor as new (options: object) => Metric<R>)(this.options);
  }

  /**
   * Adds a batch.
   * @param prediction probabilities or scores [N, C], or [N] of the positive class
   * @param target classes [N], or what the metric wants: see there
   */
  async update(prediction: Values, target: Values): Promise<void> {
    const { samples, measured } = noGrad(() =>
      tidy(() => {
        const labels = asTensor(target, `${this.name}: target`);
        const scores = asTensor(prediction, `${this.name}: prediction`) as Tensor;
        return { samples: scores.shape[0] ?? 1, measured: this.measure(scores, labels).map((part) => part.detach()) };
      }),
    );
    const values = Promise.all(measured.map((part) => part.data()));
    for (const part of measured) part.dispose();
    this.add(await values, samples);
  }
}

function asTensor(values: Values, what: string): Tensor<DType> {
  if (values instanceof Tensor) return values.detach();
  const made: Tensor<DType> = ArrayBuffer.isView(values) ? tensor(values as Float32Array) : tensor(values);
  const numbers = ArrayBuffer.isView(values) ? values : ((values as unknown[]).flat(Infinity) as number[]);
  const index = numbers.findIndex((value) => Number.isNaN(value));
  if (index >= 0) throw new ConvgradError('ERR_VALUE', `${what}: element ${index} is NaN`);
  return made;
}

/** Predictions and labels of classification, as one class for each sample (or pixel). */
export interface Classes {
  predicted: Tensor<'int32'>;
  actual: Tensor<'int32'>;
  /** Number of classes; 2 where the prediction is the score of the positive one. */
  count: number;
}

/**
 * The class that is predicted for each row, and the one that is there. Predictions [..., C] are scores of C classes, of
 * which the highest counts; [N] and [..., 1] are scores of the positive class, which is predicted above the threshold.
 * Labels are classes, or one-hot rows in the shape of the predictions.
 */
export function classesOf(metric: string, prediction: Tensor, target: Tensor<DType>, threshold: number): Classes {
  const columns = columnsOf(prediction);
  const rows = prediction.size / columns;
  if (columns === 1) {
    if (target.size !== rows) throw misfit(metric, prediction, target);
    const predicted = cast(reshape(greater(prediction, threshold), [rows]), 'int32');
    return { predicted, actual: reshape(cast(target, 'int32'), [rows]), count: 2 };
  }
  const predicted = reshape(argMax(prediction), [rows]);
  return { predicted, actual: reshape(sparse(metric, prediction, target), [rows]), count: columns };
}

/** Classes from classes or from one-hot rows, for predictions [..., C]. */
export function sparse(metric: string, prediction: Tensor, target: Tensor<DType>): Tensor<'int32'> {
  if (sameShape(target.shape, prediction.shape)) return argMax(cast(target, 'float32'));
  if (target.size !== prediction.size / columnsOf(prediction)) throw misfit(metric, prediction, target);
  return cast(target, 'int32');
}

/** The number of scores for a sample: the last axis, and 1 where there is only the samples' own. */
export function columnsOf(prediction: Tensor): number {
  return prediction.rank <= 1 ? 1 : prediction.shape.at(-1)!;
}

/** The error for labels that do not belong to these predictions. */
export function misfit(metric: string, prediction: Tensor, target: Tensor<DType>): ConvgradError {
  return new ConvgradError(
    'ERR_SHAPE',
    `${metric}: labels of shape [${target.shape.join(', ')}] do not fit predictions of shape [${prediction.shape.join(', ')}]`,
  );
}
