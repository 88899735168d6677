import { differentiable } from '../autograd';
import { native } from '../native';
import { defaultGenerator, type Generator } from '../random';
import { Tensor, type Shape } from '../tensor';
import { reshape } from './shape';

export interface DropoutOptions {
  /** Without it the elements stay as they are. Default true. */
  training?: boolean;
  /** Default: the shared one, see `setSeed`. */
  generator?: Generator;
  /** The shape of the mask, which broadcasts to x: [N, 1, 1, C] drops whole channels. Default: that of x. */
  noiseShape?: Shape;
}

/** Sets elements to 0 with probability `rate`, in [0, 1), and divides the others by 1 - rate: the mean stays. */
export function dropout(
  x: Tensor,
  rate: number,
  { training = true, generator, noiseShape = [] }: DropoutOptions = {},
): Tensor {
  if (!training || rate === 0) return reshape(x, x.shape);
  const { state } = generator ?? defaultGenerator();
  const [y, mask] = native.dropout(x.handle, state.handle, rate, noiseShape).map((handle) => new Tensor(handle));
  differentiable('dropout', y!, { x }, { mask }, (dy, { mask }) => ({
    x: () => new Tensor(native.dropoutBackward(dy.handle, mask!.handle, rate)),
  }));
  mask!.dispose();
  return y!;
}
