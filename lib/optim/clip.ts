import { ConvgradError } from '../errors';
import { native } from '../native';
import { Tensor } from '../tensor';

function gradientsOf(op: string, parameters: Iterable<Tensor>) {
  const handles = Array.from(parameters, (parameter) => parameter.grad)
    .filter((grad) => grad !== null)
    .map((grad) => grad.handle);
  if (handles.length === 0) throw new ConvgradError('ERR_VALUE', `${op}: no parameter has a gradient`);
  return handles;
}

/**
 * Scales the parameters' gradients, in place, so that their common Euclidean norm is at most `maxNorm`.
 * @returns the norm before, a scalar tensor
 */
export function clipGradNorm(parameters: Iterable<Tensor>, maxNorm: number): Tensor {
  return new Tensor(native.clipByGlobalNorm(gradientsOf('clipGradNorm', parameters), maxNorm));
}

/** Limits every element of the parameters' gradients, in place, to [-limit, limit]. */
export function clipGradValue(parameters: Iterable<Tensor>, limit: number): void {
  native.clipByValue(gradientsOf('clipGradValue', parameters), limit);
}
