import { noGrad } from '../autograd';
import { streamOf } from '../data/random';
import { ConvgradError } from '../errors';
import { tidy } from '../memory';
import { cast } from '../ops';
import { Tensor, type DType, type Shape } from '../tensor';
import { ClassWeigher, type ClassWeight } from './classWeights';
import type { Loss } from './losses';
import { rowsOf, type ArrayInput, type Rows } from './rows';
import { preparedTargets, targetForm, type TargetForm } from './targets';
import { inTurns } from './turns';

/** The samples of one input, or of several: those are tensors. */
export type Inputs = ArrayInput | readonly Tensor<DType>[];

/** A batch on the device, ready for a step. Whoever receives it disposes it. */
export interface Batch {
  readonly inputs: readonly Tensor[];
  readonly target: Tensor<DType>;
  readonly sampleWeight: Tensor | null;
  /** Number of samples. */
  readonly size: number;
}

export function disposeBatch({ inputs, target, sampleWeight }: Batch): void {
  for (const part of [...inputs, target, sampleWeight]) part?.dispose();
}

/** Where batches come from. */
export interface BatchSource {
  /** The method, and the argument that the batches come from, for errors. */
  readonly what: string;
  /** Batches of a pass, where that is known. */
  readonly steps: number | undefined;
  readonly batchSize: number | undefined;
  /** One pass, for the epoch of this number: it decides the order. */
  pass(epoch: number): AsyncGenerator<Batch, void, undefined>;
  dispose(): void;
}

/** The shape of the model's output for inputs of these shapes, all without the batch axis. */
export type OutputShape = (inputShapes: readonly Shape[], what: string) => Shape;

/** Samples with what belongs to each of them. */
export interface Columns {
  readonly inputs: readonly Rows[];
  readonly target: Rows;
  readonly sampleWeight: Rows | null;
  readonly form: TargetForm;
}

/**
 * The rows of all that belongs to a set of samples, with labels as the loss wants them.
 * @param what the names of x, y and sampleWeight for errors
 */
export async function columnsOf(
  data: { x: Inputs; y: ArrayInput; sampleWeight?: ArrayInput | undefined },
  what: { x: string; y: string; sampleWeight: string },
  loss: Loss,
  outputShape: OutputShape,
): Promise<Columns> {
  const inputs = await inputRows(data.x, what.x);
  const count = inputs[0]!.count;
  const labels = await rowsOf(data.y, what.y);
  checkSameCount(what.x, count, what.y, labels.count);
  const output = outputShape(
    inputs.map(({ shape }) => shape),
    what.x,
  );
  const form = targetForm(loss, output, labels.shape, what.y);
  const target = await preparedTargets(labels, form, what.y);
  const sampleWeight = data.sampleWeight === undefined ? null : await rowsOf(data.sampleWeight, what.sampleWeight);
  if (sampleWeight) checkSameCount(what.x, count, what.sampleWeight, sampleWeight.count);
  return { inputs, target, sampleWeight, form };
}

/** The rows of x, of each input. */
export async function inputRows(x: Inputs, what: string): Promise<Rows[]> {
  const areSeveral = Array.isArray(x) && x.length > 0 && x.every((item) => item instanceof Tensor);
  if (!areSeveral) return [await rowsOf(x as ArrayInput, what)];
  const inputs = await Promise.all(x.map((input, i) => rowsOf(input as Tensor<DType>, `${what}[${i}]`)));
  for (const [i, { count }] of inputs.entries()) checkSameCount(`${what}[0]`, inputs[0]!.count, `${what}[${i}]`, count);
  return inputs;
}

/** @throws ERR_SHAPE when things that belong together are not as many */
export function checkSameCount(a: string, aCount: number, b: string, bCount: number): void {
  if (aCount === bCount) return;
  throw new ConvgradError('ERR_SHAPE', `${a} has ${aCount} samples, ${b} has ${bCount}: they must be the same`);
}

/** The samples [begin, end). */
export function partOf({ inputs, target, sampleWeight, form }: Columns, begin: number, end: number): Columns {
  return {
    inputs: inputs.map((rows) => rows.part(begin, end)),
    target: target.part(begin, end),
    sampleWeight: sampleWeight && sampleWeight.part(begin, end),
    form,
  };
}

export interface ArrayBatchesOptions {
  batchSize: number;
  /** Shuffles with this seed. Default: the samples come in order. */
  shuffleSeed?: number | undefined;
  classWeight?: ClassWeight | undefined;
  /** The method that was called, for errors. */
  what: string;
}

/** Batches from arrays. */
export class ArrayBatches implements BatchSource {
  readonly steps: number;
  readonly batchSize: number;
  readonly what: string;
  private readonly count: number;
  private readonly weigher: ClassWeigher | null;

  constructor(
    private readonly columns: Columns,
    private readonly options: ArrayBatchesOptions,
  ) {
    const { batchSize, classWeight, what } = options;
    this.batchSize = batchSize;
    this.what = what;
    this.count = columns.inputs[0]!.count;
    this.steps = Math.ceil(this.count / batchSize);
    this.weigher = classWeight ? new ClassWeigher(classWeight, columns.form, `${what}: classWeight`) : null;
  }

  async *pass(epoch: number): AsyncGenerator<Batch, void, undefined> {
    const { shuffleSeed } = this.options;
    const order = shuffleSeed === undefined ? null : await permutation(this.count, shuffleSeed, epoch);
    for (let begin = 0; begin < this.count; begin += this.batchSize) {
      const end = Math.min(begin + this.batchSize, this.count);
      yield tidy(() => noGrad(() => this.batch(begin, end, order)));
    }
  }

  dispose(): void {
    this.weigher?.dispose();
  }

  private batch(begin: number, end: number, order: Int32Array | null): Batch {
    const { inputs, target, sampleWeight } = this.columns;
    const take = (rows: Rows): Tensor<DType> =>
      order ? rows.gather(order.subarray(begin, end)) : rows.slice(begin, end);
    const labels = take(target);
    const weights = sampleWeight && cast(take(sampleWeight), 'float32');
    return {
      inputs: inputs.map((rows) => cast(take(rows), 'float32')), // pictures may come as bytes
      target: labels,
      sampleWeight: this.weigher ? this.weigher.weights(labels, weights) : weights,
      size: end - begin,
    };
  }
}

/** The numbers below `count` in an order that the seed and the epoch decide. */
async function permutation(count: number, seed: number, epoch: number): Promise<Int32Array> {
  const random = streamOf(seed, epoch);
  const order = new Int32Array(count).map((_, i) => i);
  await inTurns(count - 1, (begin, end) => {
    for (let step = begin; step < end; step++) {
      const last = count - 1 - step;
      const other = Math.floor(random() * (last + 1));
      [order[last], order[other]] = [order[other]!, order[last]!];
    }
  });
  return order;
}
