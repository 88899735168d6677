import type { Gradients } from '../autograd';
import { native, type DType, type Handle } from '../native';
import { Tensor } from '../tensor';

/**
 * @internal The gradients of an op whose backward op computes them all at once: it runs when the first one is wanted, and
 * the gradients of inputs that want none are freed at once. For the last argument of `differentiable`.
 *
 * @param inputs the op's inputs, in the order of the backward op's outputs
 * @param compute calls the backward op
 */
export function jointGradients<S>(
  inputs: Record<string, Tensor<DType> | null | undefined>,
  compute: (dy: Tensor, saved: S) => readonly Handle[],
): (dy: Tensor, saved: S) => Gradients {
  const names = Object.keys(inputs);
  // Now and not in the backward pass: a disposed tensor no longer says whether it required a gradient.
  const wanted = names.map((name) => inputs[name]?.requiresGrad ?? false);
  return (dy, saved) => {
    let handles: readonly Handle[] | undefined;
    const take = (index: number): Tensor => {
      if (!handles) {
        handles = compute(dy, saved);
        handles.forEach((handle, i) => {
          if (!wanted[i]) native.dispose(handle);
        });
      }
      return new Tensor(handles[index]!);
    };
    return Object.fromEntries(names.map((name, i) => [name, () => take(i)]));
  };
}
