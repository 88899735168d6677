import { ConvgradError } from '../errors';
import { cast, reshape } from '../ops';
import { sameShape, sizeOf, type DType, type Shape, type Tensor, type TypedArray } from '../tensor';
import type { Loss } from './losses';
import { HostRows, type Rows } from './rows';
import { inTurns } from './turns';

const text = (shape: Shape): string => `[${shape.join(', ')}]`;

/** Mixed labels may miss 0 and 1 by so much. */
const ROUNDING = 1e-5;

/** What the labels of one sample look like. */
export interface TargetForm {
  dtype: 'int32' | 'float32' | null;
  shape: Shape;
  /** Labels must be in [0, classes); undefined where they are no classes. */
  classes?: number;
  /** Whether labels must be from 0 to 1. */
  areProbabilities?: boolean;
}

/**
 * What a loss wants for the label of a sample, for an output of this shape (both without the batch axis). An axis of
 * size 1 at the end may be there or not.
 * @param given the shape of the labels at hand
 * @throws ERR_SHAPE naming `what` when labels of that shape are of no use to the loss
 */
export function targetForm(loss: Loss, output: Shape, given: Shape, what: string): TargetForm {
  if (loss.target === 'any') return { dtype: null, shape: given };
  const classes = output.at(-1) ?? 1;
  const ofClasses: TargetForm = { dtype: 'int32', shape: output.slice(0, -1), classes };
  const ofValues: TargetForm = { dtype: 'float32', shape: output, areProbabilities: loss.target !== 'values' };
  const fitsClasses = sameButForOnes(given, ofClasses.shape);
  const fitsValues = sameButForOnes(given, ofValues.shape);
  const wantsClasses = loss.target === 'classes' || (loss.target === 'classesOrProbabilities' && !fitsValues);
  if (wantsClasses ? fitsClasses : fitsValues) return wantsClasses ? ofClasses : ofValues;
  const wanted = wantsClasses ? ofClasses.shape : output;
  throw new ConvgradError(
    'ERR_SHAPE',
    `${what} has labels of shape ${text(given)} a sample; ${loss.name} wants ${text(wanted)} for an output of ` +
      text(output) +
      (wantsClasses && fitsValues && loss.target === 'classes'
        ? ": for one-hot labels use 'categoricalCrossentropy'"
        : '') +
      (!wantsClasses && fitsClasses && classes > 1 ? ": for classes use 'sparseCategoricalCrossentropy'" : ''),
  );
}

function sameButForOnes(given: Shape, wanted: Shape): boolean {
  const trimmed = (shape: Shape): Shape => (shape.at(-1) === 1 ? shape.slice(0, -1) : shape);
  return sameShape(trimmed(given), trimmed(wanted));
}

/**
 * Labels in the form that the loss wants, all of them checked.
 * @throws ERR_VALUE with the place and the value of the first one that is no label
 */
export async function preparedTargets(rows: Rows, form: TargetForm, what: string): Promise<Rows> {
  const values = await rows.data();
  await checkTargets(values, form, rows.shape, what);
  if (form.dtype === null) return rows;
  if (form.dtype === rows.dtype && sameShape(form.shape, rows.shape)) return rows;
  const converted = form.dtype === 'int32' ? new Int32Array(values.length) : new Float32Array(values.length);
  await inTurns(values.length, (begin, end) => converted.set(values.subarray(begin, end), begin), 2 ** 16);
  return new HostRows(converted, rows.count, form.shape);
}

/**
 * @param row the shape of the labels of a sample
 * @throws ERR_VALUE as above; labels of any form must at least not be NaN
 */
export async function checkTargets(values: TypedArray, form: TargetForm, row: Shape, what: string): Promise<void> {
  const { classes, areProbabilities } = form;
  if (!(values instanceof Float32Array) && classes === undefined && !areProbabilities) return;
  const isLabel = (value: number): boolean => {
    if (classes !== undefined) return value >= 0 && value < classes && Number.isInteger(value);
    return areProbabilities ? value >= -ROUNDING && value <= 1 + ROUNDING : !Number.isNaN(value);
  };
  await inTurns(
    values.length,
    (begin, end) => {
      for (let i = begin; i < end; i++) {
        if (!isLabel(values[i]!)) throw wrongLabel(values[i]!, i, row, form, what);
      }
    },
    2 ** 16,
  );
}

function wrongLabel(
  value: number,
  index: number,
  row: Shape,
  { classes, areProbabilities }: TargetForm,
  what: string,
): ConvgradError {
  const size = sizeOf(row);
  const place = size === 1 ? `${Math.floor(index / size)}` : `${Math.floor(index / size)}, element ${index % size},`;
  const number = areProbabilities ? 'a number from 0 to 1' : 'a number';
  const wanted = classes === undefined ? number : `a class from 0 to ${classes - 1}`;
  return new ConvgradError('ERR_VALUE', `${what}: the label of sample ${place} is ${value}, wanted ${wanted}`);
}

/** The labels of one batch in the form that the loss wants: a new tensor. */
export function convertedBatch(batch: Tensor<DType>, form: TargetForm): Tensor<DType> {
  const converted = form.dtype === null ? batch : cast(batch, form.dtype);
  return reshape(converted, [batch.shape[0]!, ...form.shape]);
}
