import { noGrad } from '../autograd';
import { decided, executed } from '../capture';
import { synchronize } from '../device';
import { ConvgradError } from '../errors';
import { keep, tidy } from '../memory';
import { native } from '../native';
import type { Module } from '../nn';
import { cast, concat } from '../ops';
import { Tensor } from '../tensor';
import { inputRows, type Inputs, type OutputShape } from './batches';
import { inputPass, isDataset, type BatchDataset } from './datasetBatches';
import type { Rows } from './rows';
import { inMode } from './step';
import { StepPlans } from './stepPlans';

export interface PredictOptions {
  /** Samples that are computed together. Default 32. */
  batchSize?: number;
  /** Whether batches after the first ones are replayed, see `capture`. Default: as `compile` or the trainer was told, true. */
  capture?: boolean;
}

/** What a model predicts, batch by batch; see `Trainer.predict`. */
export async function predict(
  model: Module,
  x: Inputs | BatchDataset<unknown>,
  { batchSize = 32, capture = true }: PredictOptions,
  outputShape: OutputShape,
): Promise<Tensor> {
  checkBatchSize(batchSize, 'predict');
  if (isDataset<unknown>(x)) return await outputsOf(model, inputPass(x, 'predict: x'), capture);
  // Whoever reads an output waits for it. Who does not may run away from the device only so far.
  if (native.pending() > MOST_PENDING) await synchronize();
  const known = capture ? replayed(model, x, batchSize) : undefined;
  if (known) return known;
  const inputs = await inputRows(x, 'predict: x');
  outputShape(
    inputs.map(({ shape }) => shape),
    'predict: x',
  );
  const { count } = inputs[0]!;
  if (count > batchSize) return await outputsOf(model, arrayPass(inputs, batchSize), capture);
  return outputOf(model, batchOf(inputs, 0, count), capture, 0);
}

/** Commands on their way, beyond which a prediction waits for the device. */
const MOST_PENDING = 64;

/** The output for a batch like one before, at the cost of its replay alone. */
function replayed(model: Module, x: Inputs, batchSize: number): Tensor | undefined {
  const isBatch = x instanceof Tensor && !x.isDisposed && x.dtype === 'float32' && (x.shape[0] ?? 0) <= batchSize;
  return isBatch ? noGrad(() => plansOf.get(model)?.replay<Tensor>([x])) : undefined;
}

async function outputsOf(model: Module, batches: AsyncIterable<readonly Tensor[]>, capture: boolean): Promise<Tensor> {
  const outputs: Tensor[] = [];
  try {
    let before = Promise.resolve();
    for await (const inputs of batches) {
      outputs.push(outputOf(model, inputs, capture, outputs.length));
      // The device works on this batch while the next one is prepared, and no further.
      await before;
      before = synchronize();
      before.catch(() => undefined);
    }
    await before;
    if (outputs.length === 0) throw new ConvgradError('ERR_VALUE', 'predict: x gives no batches');
    return outputs.length === 1 ? outputs.pop()! : concat(outputs);
  } finally {
    for (const output of outputs) output.dispose();
  }
}

async function* arrayPass(inputs: readonly Rows[], batchSize: number) {
  const { count } = inputs[0]!;
  for (let begin = 0; begin < count; begin += batchSize) {
    yield batchOf(inputs, begin, Math.min(begin + batchSize, count));
  }
}

function batchOf(inputs: readonly Rows[], begin: number, end: number): readonly Tensor[] {
  return tidy(() => noGrad(() => inputs.map((rows) => cast(rows.slice(begin, end), 'float32'))));
}

/** Of every model that has predicted. */
const plansOf = new WeakMap<Module, StepPlans>();

/** Disposes the inputs. */
function outputOf(model: Module, inputs: readonly Tensor[], capture: boolean, index: number): Tensor {
  try {
    const output = noGrad(() => {
      const compute = (): unknown => {
        const result: unknown = inMode(model, false, () => model(...inputs));
        decided();
        return result;
      };
      if (!capture) return executed(compute);
      let plans = plansOf.get(model);
      if (!plans) plansOf.set(model, (plans = new StepPlans(() => [model], false)));
      return plans.run(inputs, compute);
    });
    if (!Array.isArray(output)) return keep(output as Tensor);
    for (const part of output as Tensor[]) part.dispose();
  } catch (error) {
    if (!(error instanceof ConvgradError)) throw error;
    throw new ConvgradError(error.code, `predict: batch ${index}: ${error.message}`, { cause: error });
  } finally {
    for (const input of inputs) input.dispose();
  }
  throw new ConvgradError('ERR_VALUE', 'predict: the model has several outputs: call it, and get them all');
}

/** @throws ERR_VALUE unless it is a positive integer */
export function checkBatchSize(batchSize: number, method: string): void {
  if (Number.isSafeInteger(batchSize) && batchSize > 0) return;
  throw new ConvgradError('ERR_VALUE', `${method}: batchSize must be a positive integer, got ${batchSize}`);
}
