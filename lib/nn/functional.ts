/**
 * The ops under PyTorch's names and with its arguments (`torch.nn.functional`), in camelCase. Layouts are convgrad's:
 * images [N, H, W, C], weights as the layers have them.
 */
import {
  avgPool2d as avgPool,
  crossEntropy as crossEntropyOp,
  dropout as dropoutOp,
  maxPool2d as maxPool,
  pad as padOp,
  resizeBilinear,
  resizeNearest,
  type Pair,
} from '../ops';
import type { Tensor } from '../tensor';
import type { CrossEntropyLossOptions } from './losses';
import type { AvgPool2dOptions, Pool2dOptions } from './pooling';

export {
  adaptiveAvgPool2d,
  adaptiveMaxPool2d,
  binaryCrossEntropy,
  binaryCrossEntropyWithLogits,
  conv2d,
  convTranspose2d,
  elu,
  flatten,
  gelu,
  hardSigmoid as hardsigmoid,
  hardSilu as hardswish,
  huberLoss,
  leakyRelu,
  linear,
  logSoftmax,
  maeLoss as l1Loss,
  mseLoss,
  oneHot,
  relu,
  relu6,
  sigmoid,
  silu,
  softmax,
  softplus,
  tanh,
} from '../ops';

/** The maximum of each window. */
export function maxPool2d(x: Tensor, kernelSize: Pair, options: Omit<Pool2dOptions, 'dataFormat'> = {}): Tensor {
  return maxPool(x, { poolSize: kernelSize, ...options });
}

/** The average of each window. */
export function avgPool2d(x: Tensor, kernelSize: Pair, options: Omit<AvgPool2dOptions, 'dataFormat'> = {}): Tensor {
  return avgPool(x, { poolSize: kernelSize, ...options });
}

/** Sets elements to 0, each with probability `p`, and scales the others by 1 / (1 - p). */
export function dropout(x: Tensor, p = 0.5, training = true): Tensor {
  return dropoutOp(x, p, { training });
}

/** Cross-entropy of softmax(logits), from int32 labels or float32 probabilities. */
export function crossEntropy(
  logits: Tensor,
  target: Tensor<'int32'> | Tensor,
  { weight: classWeight, ...options }: CrossEntropyLossOptions = {},
): Tensor {
  return crossEntropyOp(logits, target, { classWeight, ...options });
}

/** Constant padding of an image's sides: [left, right, top, bottom], PyTorch's order. */
export function pad(x: Tensor, [left, right, top = 0, bottom = 0]: readonly number[], value = 0): Tensor {
  return padOp(
    x,
    [
      [0, 0],
      [top, bottom],
      [left!, right!],
      [0, 0],
    ],
    value,
  );
}

/** Resizes images to `size`, or by a factor. */
export function interpolate(
  x: Tensor,
  options: { size?: Pair; scaleFactor?: number; mode?: 'nearest' | 'bilinear'; alignCorners?: boolean },
): Tensor {
  const { scaleFactor = 1, mode = 'nearest', alignCorners = false } = options;
  const size = options.size ?? [Math.floor(x.shape[1]! * scaleFactor), Math.floor(x.shape[2]! * scaleFactor)];
  if (mode === 'nearest') return resizeNearest(x, size, { coordinates: 'asymmetric' });
  return resizeBilinear(x, size, { alignCorners });
}
