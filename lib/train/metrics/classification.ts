import { ConvgradError } from '../../errors';
import type { DType, Tensor, TypedArray } from '../../tensor';
import { classesOf, Metric } from './metric';

/** What has been counted of each class. */
class ClassCounts {
  hits: number[] = [];
  predicted: number[] = [];
  actual: number[] = [];

  /** Makes room for at least this many classes. */
  grow(classes: number): void {
    for (let c = this.hits.length; c < classes; c++) this.hits[c] = this.predicted[c] = this.actual[c] = 0;
  }

  add(metric: string, predicted: TypedArray, actual: TypedArray): void {
    for (let i = 0; i < actual.length; i++) {
      const [p, a] = [predicted[i]!, actual[i]!];
      checkLabel(metric, a, this.hits.length, i);
      this.predicted[p]! += 1;
      this.actual[a]! += 1;
      if (p === a) this.hits[a]! += 1;
    }
  }
}

function checkLabel(metric: string, label: number, classes: number, index: number): void {
  if (label >= 0 && label < classes) return;
  throw new ConvgradError('ERR_VALUE', `${metric}: label ${index} is ${label}, wanted 0 to ${classes - 1}`);
}

export interface ClassMetricOptions {
  /**
   * `binary` is the positive class's own value, for scores of the positive class; `macro` the mean over the classes,
   * `micro` counts all classes together, `weighted` is the mean weighted by how often each class occurs.
   * Default: `binary` for scores of one class, else `macro`.
   */
  average?: 'binary' | 'macro' | 'micro' | 'weighted';
  /** The value of this class alone. */
  classId?: number;
  /** A score of the positive class above this is a prediction of it. Default 0.5. */
  threshold?: number;
  name?: string;
}

/** Numerator and denominator of a ratio, from a class's counts. */
type Ratio = (hits: number, predicted: number, actual: number) => [numerator: number, denominator: number];

/** A ratio without a denominator is 0, as in Keras and scikit-learn. */
const quotient = ([numerator, denominator]: readonly [number, number]): number =>
  denominator === 0 ? 0 : numerator / denominator;
const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

/** A ratio of what was counted, for one class or averaged over all. */
abstract class ClassMetric extends Metric {
  readonly name: string;
  private readonly counts = new ClassCounts();
  private isBinary = false;

  constructor(
    override readonly options: ClassMetricOptions,
    defaultName: string,
    private readonly ratio: Ratio,
  ) {
    super(options);
    this.name = options.name ?? defaultName;
    const { average } = options;
    if (average !== undefined && !['binary', 'macro', 'micro', 'weighted'].includes(average)) {
      const wanted = `'binary', 'macro', 'micro' or 'weighted'`;
      throw new ConvgradError('ERR_VALUE', `${this.name}: average must be ${wanted}, got '${String(average)}'`);
    }
  }

  measure(prediction: Tensor, target: Tensor<DType>): Tensor<DType>[] {
    const { predicted, actual, count } = classesOf(this.name, prediction, target, this.options.threshold ?? 0.5);
    this.isBinary = prediction.rank <= 1 || prediction.shape.at(-1) === 1;
    this.counts.grow(count);
    return [predicted, actual];
  }

  add([predicted, actual]: readonly TypedArray[]): void {
    this.counts.add(this.name, predicted!, actual!);
  }

  /** The value of every class. */
  perClass(): number[] {
    return this.counts.hits.map((_, c) => this.ofClass(c));
  }

  result(): number {
    const { classId, average = this.isBinary ? 'binary' : 'macro' } = this.options;
    const { hits, predicted, actual } = this.counts;
    const classes = hits.length;
    if (classes === 0) return NaN;
    if (classId !== undefined) return this.ofClass(classId);
    switch (average) {
      case 'binary':
        if (classes !== 2) {
          throw new ConvgradError('ERR_VALUE', `${this.name}: average 'binary' wants 2 classes, there are ${classes}`);
        }
        return this.ofClass(1);
      case 'macro':
        return total(this.perClass()) / classes;
      case 'micro':
        return quotient(this.ratio(total(hits), total(predicted), total(actual)));
      case 'weighted':
        return quotient([total(this.perClass().map((value, c) => value * actual[c]!)), total(actual)]);
    }
  }

  private ofClass(c: number): number {
    const { hits, predicted, actual } = this.counts;
    if (!(c in hits)) {
      throw new ConvgradError('ERR_VALUE', `${this.name}: classId ${c}, but there are ${hits.length} classes`);
    }
    return quotient(this.ratio(hits[c]!, predicted[c]!, actual[c]!));
  }
}

/** The share of the predictions of a class that are right. */
export class Precision extends ClassMetric {
  constructor(options: ClassMetricOptions = {}) {
    super(options, 'precision', (hits, predicted) => [hits, predicted]);
  }
}

/** The share of the samples of a class that are found. */
export class Recall extends ClassMetric {
  constructor(options: ClassMetricOptions = {}) {
    super(options, 'recall', (hits, _predicted, actual) => [hits, actual]);
  }
}

/** The harmonic mean of precision and recall. */
export class F1 extends ClassMetric {
  constructor(options: ClassMetricOptions = {}) {
    super(options, 'f1', (hits, predicted, actual) => [2 * hits, predicted + actual]);
  }
}

/** How often each class (row) was taken for each class (column). */
export class ConfusionMatrix extends Metric<number[][]> {
  readonly name = 'confusionMatrix';
  private readonly matrix: number[][] = [];

  constructor(override readonly options: { threshold?: number } = {}) {
    super(options);
  }

  measure(prediction: Tensor, target: Tensor<DType>): Tensor<DType>[] {
    const { predicted, actual, count } = classesOf(this.name, prediction, target, this.options.threshold ?? 0.5);
    while (this.matrix.length < count) this.matrix.push(new Array<number>(count).fill(0));
    return [predicted, actual];
  }

  add([predicted, actual]: readonly TypedArray[]): void {
    for (let i = 0; i < actual!.length; i++) {
      checkLabel(this.name, actual![i]!, this.matrix.length, i);
      this.matrix[actual![i]!]![predicted![i]!]! += 1;
    }
  }

  /** [label][prediction] */
  result(): number[][] {
    return this.matrix.map((row) => [...row]);
  }
}
