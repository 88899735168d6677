import { ConvgradError } from '../errors';
import { argMax, cast, gather, mul, reshape } from '../ops';
import { tensor, type DType, type Tensor } from '../tensor';
import type { TargetForm } from './targets';

/** Weights of the classes, by their numbers. Classes that are not there weigh 1. */
export type ClassWeight = Readonly<Record<number, number>> | readonly number[];

/** Gives every sample the weight of its class. */
export class ClassWeigher {
  private readonly table: Tensor;

  /** @throws ERR_VALUE for a class that does not exist, or a weight that is no number */
  constructor(
    weights: ClassWeight,
    private readonly form: TargetForm,
    what: string,
  ) {
    const classes = Math.max(2, form.classes ?? form.shape.at(-1) ?? 2);
    const values = new Float32Array(classes).fill(1);
    for (const [key, weight] of Object.entries(weights)) {
      const label = Number(key);
      if (!(Number.isInteger(label) && label >= 0 && label < classes)) {
        throw new ConvgradError('ERR_VALUE', `${what} has class ${key}, wanted 0 to ${classes - 1}`);
      }
      if (!(weight >= 0 && weight < Infinity)) {
        throw new ConvgradError('ERR_VALUE', `${what} of class ${key} is ${weight}, wanted a number of at least 0`);
      }
      values[label] = weight;
    }
    this.table = tensor(values);
  }

  /** Weights for a batch of labels, times those that its samples have of their own. Runs in `tidy`. */
  weights(target: Tensor<DType>, sampleWeight: Tensor | null): Tensor {
    const isOneHot = this.form.classes === undefined && (this.form.shape.at(-1) ?? 1) > 1;
    const ofClass = gather(this.table, isOneHot ? argMax(cast(target, 'float32')) : cast(target, 'int32'));
    if (!sampleWeight) return ofClass;
    // A weight a sample goes for all its pixels.
    const missing = ofClass.rank - sampleWeight.rank;
    return mul(ofClass, reshape(sampleWeight, [...sampleWeight.shape, ...new Array<number>(missing).fill(1)]));
  }

  dispose(): void {
    this.table.dispose();
  }
}
