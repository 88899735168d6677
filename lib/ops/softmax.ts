import { differentiable } from '../autograd';
import { native } from '../native';
import { Tensor } from '../tensor';

function normalizedExp(name: string, x: Tensor, axis: number, logarithm: boolean): Tensor {
  const y = new Tensor(native.softmax(x.handle, axis, logarithm));
  return differentiable(name, y, { x }, { y }, (dy, { y }) => ({
    x: () => new Tensor(native.softmaxBackward(y.handle, dy.handle, axis, logarithm)),
  }));
}

/** `e^x / Σ e^x` along an axis, without overflow. A NaN makes all of its row NaN. */
export const softmax = (x: Tensor, axis = -1): Tensor => normalizedExp('softmax', x, axis, false);

/** The logarithm of softmax, without cancellation. */
export const logSoftmax = (x: Tensor, axis = -1): Tensor => normalizedExp('logSoftmax', x, axis, true);
