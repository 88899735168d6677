import { noGrad } from '../autograd';
import { ConvgradError } from '../errors';
import { tidy } from '../memory';
import type { Module } from '../nn';
import { sigmoid, softmax } from '../ops';
import { clipGradNorm, type Optimizer } from '../optim';
import { Tensor } from '../tensor';
import type { Batch } from './batches';
import type { Loss } from './losses';
import type { Meters, Reading } from './meters';

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

/**
 * Enqueues a training step: forward, loss, backward, update. Nothing waits for the device. When it throws, the parameters
 * are as they were.
 * @param clipNorm the most that the norm of all gradients together may be
 */
export function trainStep(
  model: Module,
  loss: Loss,
  batch: Batch,
  optimizer: Optimizer,
  clipNorm: number | undefined,
  meters: Meters,
): Reading {
  try {
    return tidy(() => {
      const { value, prediction } = inMode(model, true, () => forward(model, loss, batch));
      value.backward();
      if (clipNorm !== undefined) clipGradNorm(model.trainableParameters(), clipNorm);
      optimizer.step();
      return meters.read(value, batch.target, prediction, batch.size);
    });
  } finally {
    optimizer.zeroGrad();
  }
}

/** Enqueues the evaluation of a batch. */
export function testStep(model: Module, loss: Loss, batch: Batch, meters: Meters): Reading {
  return tidy(() =>
    noGrad(() => {
      const { value, prediction } = inMode(model, false, () => forward(model, loss, batch));
      return meters.read(value, batch.target, prediction, batch.size);
    }),
  );
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
