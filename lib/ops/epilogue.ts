import { needsGradient } from '../autograd';
import { native, type EpilogueActivation } from '../native';
import { Tensor } from '../tensor';
import { silu } from './unary';

/**
 * @internal Computes with a fused activation where its gradient follows from the output. silu's does not: while
 * gradients are recorded it is an op of its own.
 */
export function withActivation(
  activation: EpilogueActivation = 'none',
  inputs: (Tensor | null | undefined)[],
  compute: (activation: EpilogueActivation) => Tensor,
): Tensor {
  if (activation === 'silu' && needsGradient(...inputs)) return silu(compute('none'));
  return compute(activation);
}

/**
 * @internal The gradient before the epilogue `y = activation(z + bias)`, and with `wantsBias` that of the bias, in one
 * pass over dy where there are both.
 * @param y the output, or null without an activation
 */
export function epilogueGradient(
  dy: Tensor,
  y: Tensor | null,
  activation: EpilogueActivation,
  wantsBias: boolean,
): { dz: Tensor; dbias: Tensor | null } {
  if (!y || activation === 'none' || activation === 'silu') {
    return { dz: dy, dbias: wantsBias ? new Tensor(native.biasBackward(dy.handle)) : null };
  }
  if (!wantsBias) return { dz: new Tensor(native.unaryBackward(y.handle, dy.handle, activation, 0, 0)), dbias: null };
  const [dz, dbias] = native.epilogueBackward(dy.handle, y.handle, activation);
  return { dz: new Tensor(dz), dbias: new Tensor(dbias) };
}
