import { noGrad } from '../autograd';
import { disposeTensors } from '../data/structure';
import { ConvgradError } from '../errors';
import { tidy } from '../memory';
import { cast } from '../ops';
import { Tensor, type DType } from '../tensor';
import { ClassWeigher, type ClassWeight } from './classWeights';
import type { Loss } from './losses';
import { checkSameCount, type Batch, type BatchSource, type OutputShape } from './batches';
import { checkTargets, convertedBatch, targetForm } from './targets';

type OneOrMany<T> = T | readonly T[];

/** A batch of a data set: inputs, labels, and weights of the samples if there are any. Whoever reads it disposes it. */
export type DatasetBatch =
  | readonly [x: OneOrMany<Tensor<DType>>, y: Tensor<DType>, sampleWeight?: Tensor]
  | { readonly x: OneOrMany<Tensor<DType>>; readonly y: Tensor<DType>; readonly sampleWeight?: Tensor };

type Batches<B> = AsyncIterable<B> | Iterable<B>;

/**
 * Batches from a `Dataset`, from another iterable that can be read again for every epoch, or from a function that gives
 * one. A generator can be read only once.
 */
export type BatchDataset<B = DatasetBatch> = Batches<B> | (() => Batches<B>);

/** Whether this is something to read batches from. */
export function isDataset<B = DatasetBatch>(value: unknown): value is BatchDataset<B> {
  if (typeof value === 'function') return true;
  if (typeof value !== 'object' || value === null) return false;
  if (value instanceof Tensor || Array.isArray(value) || ArrayBuffer.isView(value)) return false;
  return Symbol.asyncIterator in value || Symbol.iterator in value;
}

/** Batches from a data set, which decides on size and order. */
export class DatasetBatches implements BatchSource {
  readonly batchSize = undefined;
  readonly steps: number | undefined;
  private weigher: ClassWeigher | null = null;
  private hasRead = false;

  constructor(
    private readonly dataset: BatchDataset,
    readonly what: string,
    private readonly loss: Loss,
    private readonly outputShape: OutputShape,
    private readonly classWeight?: ClassWeight,
  ) {
    const { size } = dataset as { size?: unknown };
    this.steps = typeof size === 'number' && Number.isFinite(size) ? size : undefined;
  }

  async *pass(): AsyncGenerator<Batch, void, undefined> {
    let count = 0;
    for await (const item of opened(this.dataset)) yield await this.prepared(item, `${this.what}: batch ${count++}`);
    if (count === 0) {
      const hint = this.hasRead ? ' any more: a generator can be read only once, pass a function that makes one' : '';
      throw new ConvgradError('ERR_VALUE', `${this.what} gives no batches${hint}`);
    }
    this.hasRead = true;
  }

  dispose(): void {
    this.weigher?.dispose();
    this.weigher = null;
  }

  private async prepared(item: DatasetBatch, what: string): Promise<Batch> {
    try {
      const { inputs, y, sampleWeight } = checkedParts(item, what);
      const output = this.outputShape(
        inputs.map(({ shape }) => shape.slice(1)),
        `${what}: x`,
      );
      const form = targetForm(this.loss, output, y.shape.slice(1), `${what}: y`);
      // Classes out of range are found by the loss, on the device; fractions would be cut off before.
      if (y.dtype === 'float32' || form.areProbabilities)
        await checkTargets(await y.data(), form, y.shape.slice(1), `${what}: y`);
      if (this.classWeight) this.weigher ??= new ClassWeigher(this.classWeight, form, 'fit: classWeight');
      return tidy(() =>
        noGrad(() => {
          const target = convertedBatch(y, form);
          const weights = sampleWeight && cast(sampleWeight, 'float32');
          return {
            inputs: inputs.map((input) => cast(input, 'float32')),
            target,
            sampleWeight: this.weigher ? this.weigher.weights(target, weights) : weights,
            size: target.shape[0]!,
          };
        }),
      );
    } finally {
      disposeTensors(item);
    }
  }
}

function opened<B>(dataset: BatchDataset<B>): Batches<B> {
  return typeof dataset === 'function' ? dataset() : dataset;
}

function checkedParts(item: DatasetBatch, what: string) {
  const { x, y, sampleWeight } = partsOf(item);
  const inputs = [x].flat();
  const isBatch = inputs.length > 0 && [...inputs, y].every((part) => part instanceof Tensor && part.rank > 0);
  if (!isBatch) throw new ConvgradError('ERR_VALUE', `${what} must be [x, y] or { x, y }, of tensors`);
  const tensors = inputs as Tensor<DType>[];
  const size = tensors[0]!.shape[0]!;
  if (size === 0) {
    throw new ConvgradError('ERR_SHAPE', `${what} is empty: x has shape [${tensors[0]!.shape.join(', ')}]`);
  }
  for (const input of tensors) checkSameCount(`${what}: x`, size, 'another x', input.shape[0]!);
  checkSameCount(`${what}: x`, size, 'y', (y as Tensor).shape[0]!);
  if (sampleWeight instanceof Tensor) checkSameCount(`${what}: x`, size, 'sampleWeight', sampleWeight.shape[0] ?? 1);
  return { inputs: tensors, y: y as Tensor<DType>, sampleWeight: (sampleWeight ?? null) as Tensor | null };
}

function partsOf(item: unknown): { x?: unknown; y?: unknown; sampleWeight?: unknown } {
  if (Array.isArray(item)) return { x: item[0], y: item[1], sampleWeight: item[2] };
  return typeof item === 'object' && item !== null ? item : {};
}

/** Inputs for a prediction: batches of x, or of what `fit` takes, whose labels are ignored. */
export async function* inputPass(
  dataset: BatchDataset<unknown>,
  what: string,
): AsyncGenerator<readonly Tensor[], void, undefined> {
  let index = 0;
  for await (const item of opened(dataset)) {
    try {
      const inputs = [item instanceof Tensor ? item : partsOf(item).x].flat();
      if (inputs.length === 0 || !inputs.every((part) => part instanceof Tensor)) {
        throw new ConvgradError('ERR_VALUE', `${what}: batch ${index} must be x, [x, y] or { x, y }, of tensors`);
      }
      yield (inputs as Tensor<DType>[]).map((input) => cast(input, 'float32'));
    } finally {
      disposeTensors(item);
    }
    index += 1;
  }
}
