import { noGrad } from '../autograd';
import { decided, executed } from '../capture';
import { ConvgradError } from '../errors';
import { tidy } from '../memory';
import type { Module } from '../nn';
import { sigmoid, softmax } from '../ops';
import { clipGradNorm, type Optimizer } from '../optim';
import { Tensor } from '../tensor';
import type { Batch } from './batches';
import { isOfLibrary, type Loss, type LossLike } from './losses';
import type { Meters, Reading } from './meters';
import { isLibraryOptimizer } from './optimizers';
import { StepPlans } from './stepPlans';

/**
 * Runs `body` with all of a module in training or in inference mode, and leaves the modes as they were. Since `body` is
 * synchronous, predictions and training of one model can take turns.
 */
export function inMode<R>(model: Module, training: boolean, body: () => R): R {
  const others = model.modules().filter((module) => module.training !== training);
  for (const module of others) module.training = training;
  try {
    return body();
  } finally {
    for (const module of others) module.training = !training;
  }
}

export interface StepsOptions {
  model: Module;
  loss: Loss;
  /** Called when the first step is trained. */
  optimizer: () => Optimizer;
  /** The most that the norm of all gradients together may be. */
  clipNorm: number | undefined;
  /** Whether steps that repeat are recorded and replayed. */
  capture: boolean;
  /** What `loss` was made from. */
  givenLoss: LossLike;
}

/** The training and evaluation of batches. Nothing waits for the device. */
export class Steps {
  private readonly training: StepPlans | null;
  private readonly testing: StepPlans | null;

  constructor(private readonly options: StepsOptions) {
    const { model, loss, givenLoss, capture } = options;
    const plans = (more: () => readonly unknown[]): StepPlans | null =>
      capture ? new StepPlans(() => [model, givenLoss, ...more()], !isOfLibrary(loss, givenLoss)) : null;
    this.training = plans(() => [options.optimizer()]);
    this.testing = plans(() => []);
  }

  /** Enqueues forward, loss, backward and update. When it throws, the parameters are as they were. */
  train(batch: Batch, meters: Meters): Reading {
    return this.measured(this.training, batch, meters, () => {
      const { model, loss, clipNorm } = this.options;
      const optimizer = this.options.optimizer();
      try {
        const { value, prediction } = inMode(model, true, () => forward(model, loss, batch));
        if (isLibraryOptimizer(optimizer)) decided();
        value.backward();
        if (clipNorm !== undefined) clipGradNorm(model.trainableParameters(), clipNorm);
        optimizer.step();
        decided();
        return { value, prediction: meters.needPrediction ? noGrad(prediction) : null };
      } finally {
        optimizer.zeroGrad();
      }
    });
  }

  /** Enqueues an evaluation. */
  test(batch: Batch, meters: Meters): Reading {
    return this.measured(this.testing, batch, meters, () =>
      noGrad(() => {
        const { model, loss } = this.options;
        const { value, prediction } = inMode(model, false, () => forward(model, loss, batch));
        decided();
        return { value, prediction: meters.needPrediction ? prediction() : null };
      }),
    );
  }

  private measured(
    plans: StepPlans | null,
    batch: Batch,
    meters: Meters,
    step: () => { value: Tensor; prediction: Tensor | null },
  ): Reading {
    return tidy(() => {
      const { inputs, target, sampleWeight } = batch;
      const tensors = [...inputs, target, ...(sampleWeight ? [sampleWeight] : [])];
      const { value, prediction } = plans ? plans.run(tensors, step) : executed(step);
      return meters.read(value, target, prediction, batch.size);
    });
  }
}

/** The loss, and what the model predicts: computed only when it is asked for where the loss works without it. */
function forward(
  model: Module,
  loss: Loss,
  { inputs, target, sampleWeight }: Batch,
): { value: Tensor; prediction: () => Tensor } {
  const { fused } = loss;
  if (fused && model.finalActivation === fused.activation) {
    const logits = model.logits(...inputs);
    const value = checked(fused.compute(logits, target, { sampleWeight }), loss);
    return { value, prediction: () => (fused.activation === 'softmax' ? softmax(logits) : sigmoid(logits)) };
  }
  const output = model(...inputs) as Tensor;
  return { value: checked(loss.compute(output, target, { sampleWeight }), loss), prediction: () => output };
}

function checked(value: Tensor, loss: Loss): Tensor {
  if (value instanceof Tensor && value.size === 1) return value;
  const found =
    (value as unknown) instanceof Tensor ? `shape [${value.shape.join(', ')}]` : `no tensor, but ${typeof value}`;
  throw new ConvgradError('ERR_SHAPE', `loss ${loss.name}: wanted one number for a batch, it gave ${found}`);
}
