import { ConvgradError } from './errors';
import { keep, tidy } from './memory';
import { sizeOf, tensor, type Tensor } from './tensor';
import './autograd';

export interface GradCheckOptions {
  /** Step of the central difference. Default 1e-2: float32 forward passes are too coarse for a smaller one. */
  step?: number;
  /** Allowed |analytic - numeric| relative to the largest |numeric| of the tensor, or to 1. Default 1e-2. */
  tolerance?: number;
}

/**
 * Compares the gradients of `fn` with central differences, at `inputs`, for a fixed weighting of the output's elements.
 * Blocks the thread; meant for tests, on small tensors away from kinks.
 * @throws ERR_VALUE naming the input and the element where they differ most
 */
export function gradCheck<A extends Tensor[]>(
  fn: (...inputs: A) => Tensor,
  inputs: A,
  options: GradCheckOptions = {},
): void {
  const { step = 1e-2, tolerance = 1e-2 } = options;
  const analytic = analyticGradients(fn, inputs);
  inputs.forEach((input, which) => {
    const values = input.dataSync();
    const numeric = Array.from(values, (value, i) => {
      const at = (x: number): number => {
        const moved = values.slice();
        moved[i] = x;
        return evaluate(fn, inputs.map((other, j) => (j === which ? tensor(moved, input.shape) : other)) as A);
      };
      // The step as float32 represents it.
      const [above, below] = [Math.fround(value + step), Math.fround(value - step)];
      return (at(above) - at(below)) / (above - below);
    });
    const scale = Math.max(1, ...numeric.map(Math.abs));
    const errors = numeric.map((expected, i) => Math.abs(analytic[which]![i]! - expected) / scale);
    const worst = errors.reduce((at, error, i) => (!(error <= errors[at]!) ? i : at), 0);
    if (!(errors[worst]! <= tolerance)) {
      throw new ConvgradError(
        'ERR_VALUE',
        `gradCheck: input ${which}, element ${worst} of [${input.shape.join(', ')}]: ` +
          `analytic ${analytic[which]![worst]}, numeric ${numeric[worst]}`,
      );
    }
  });
}

/** A fixed weight for each output element, so that no gradient cancels. */
function weights(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => Math.cos(1.7 * i + 0.3));
}

function evaluate<A extends Tensor[]>(fn: (...inputs: A) => Tensor, inputs: A): number {
  return tidy(() => {
    const values = fn(...inputs).dataSync();
    return weights(values.length).reduce((sum, weight, i) => sum + weight * values[i]!, 0);
  });
}

function analyticGradients<A extends Tensor[]>(fn: (...inputs: A) => Tensor, inputs: A): Float32Array[] {
  return tidy(() => {
    const leaves = inputs.map((input) => {
      const leaf = input.detach();
      leaf.requiresGrad = true;
      return keep(leaf);
    });
    try {
      const y = fn(...(leaves as A));
      y.backward({ gradient: tensor(weights(sizeOf(y.shape)), y.shape) });
      return leaves.map((leaf) => leaf.grad?.dataSync() ?? new Float32Array(leaf.size));
    } finally {
      for (const leaf of leaves) leaf.dispose();
    }
  });
}
