import { ConvgradError } from '../../errors';
import { cast, reshape } from '../../ops';
import { sameShape, type DType, type Tensor, type TypedArray } from '../../tensor';
import { columnsOf, Metric, misfit } from './metric';

/**
 * The area under the ROC curve, exactly: the chance that a sample of the class scores higher than another one, ties
 * counting half. Predictions [N] or [N, 1] are scores of the positive class; of [N, 2] the second column is; with more
 * columns the result is the mean over the classes, each against the rest. Labels are classes or one-hot rows. Keeps all
 * scores. NaN while a class has no samples, or has them all.
 */
export class AUC extends Metric {
  readonly name: string;
  override readonly everyBatch = false;
  private readonly scores: TypedArray[] = [];
  private readonly labels: TypedArray[] = [];
  private columns = 1;
  private areOneHot = false;

  constructor(override readonly options: { name?: string } = {}) {
    super(options);
    this.name = options.name ?? 'auc';
  }

  measure(prediction: Tensor, target: Tensor<DType>): Tensor<DType>[] {
    this.columns = columnsOf(prediction);
    this.areOneHot = this.columns > 1 && sameShape(target.shape, prediction.shape);
    if (!this.areOneHot && target.size !== prediction.size / this.columns) throw misfit(this.name, prediction, target);
    const labels = cast(target, 'int32');
    return [reshape(labels, [labels.size]), prediction];
  }

  add([labels, scores]: readonly TypedArray[]): void {
    this.labels.push(this.areOneHot ? classesOfRows(labels!, this.columns) : labels!);
    this.scores.push(scores!);
    const classes = Math.max(this.columns, 2);
    const wrong = this.labels.at(-1)!.findIndex((label) => label < 0 || label >= classes);
    if (wrong < 0) return;
    const found = this.labels.at(-1)![wrong];
    throw new ConvgradError('ERR_VALUE', `${this.name}: label ${wrong} is ${found}, wanted 0 to ${classes - 1}`);
  }

  result(): number {
    if (this.columns === 1) return this.ofClass(1, 0);
    if (this.columns === 2) return this.ofClass(1, 1);
    let sum = 0;
    for (let c = 0; c < this.columns; c++) sum += this.ofClass(c, c);
    return sum / this.columns;
  }

  private ofClass(positive: number, column: number): number {
    const count = this.labels.reduce((size, labels) => size + labels.length, 0);
    const keys = new Float64Array(count);
    let next = 0;
    for (const [batch, labels] of this.labels.entries()) {
      const scores = this.scores[batch]!;
      for (let i = 0; i < labels.length; i++) {
        const score = scores[i * this.columns + column]!;
        if (Number.isNaN(score)) return NaN;
        keys[next++] = sortingKey(score, labels[i] === positive);
      }
    }
    return areaUnderCurve(keys.sort());
  }
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/**
 * A whole number that orders as the scores do, with the label in its last bit: a plain sort of numbers is ten times as
 * fast as one that calls a function to compare.
 */
function sortingKey(score: number, isPositive: boolean): number {
  float[0] = score + 0; // -0 is 0
  const pattern = bits[0]!;
  const ordered = pattern < 2 ** 31 ? pattern + 2 ** 31 : 2 ** 32 - 1 - pattern;
  return ordered * 2 + Number(isPositive);
}

/** From keys in ascending order. Samples of equal score are one step of the curve, a trapezoid. */
function areaUnderCurve(keys: Float64Array): number {
  let [negatives, positives, area] = [0, 0, 0];
  for (let i = 0; i < keys.length;) {
    const score = Math.floor(keys[i]! / 2);
    let [newNegatives, newPositives] = [0, 0];
    for (; i < keys.length && Math.floor(keys[i]! / 2) === score; i++) {
      if (keys[i]! % 2 === 1) newPositives += 1;
      else newNegatives += 1;
    }
    // Each positive outranks the negatives below it, and half of those beside it.
    area += newPositives * (negatives + newNegatives / 2);
    negatives += newNegatives;
    positives += newPositives;
  }
  return negatives === 0 || positives === 0 ? NaN : area / (negatives * positives);
}

function classesOfRows(oneHot: TypedArray, columns: number): Int32Array {
  return Int32Array.from({ length: oneHot.length / columns }, (_, row) =>
    oneHot.subarray(row * columns, (row + 1) * columns).indexOf(1),
  );
}
