/**
 * The ops under PyTorch's names and with its arguments (`torch.nn.functional`), in camelCase. Layouts are convgrad's:
 * images [N, H, W, C], weights as the layers have them.
 */
import {
  adaptiveAvgPool2d,
  adaptiveMaxPool2d,
  avgPool2d as avgPool,
  binaryCrossEntropy,
  binaryCrossEntropyWithLogits,
  crossEntropy as crossEntropyOp,
  dropout as dropoutOp,
  elu,
  flatten,
  gelu,
  hardSigmoid,
  hardSilu,
  huberLoss,
  leakyRelu,
  logSoftmax as logSoftmaxOp,
  maeLoss,
  maxPool2d as maxPool,
  mseLoss,
  pad as padOp,
  relu,
  relu6,
  resizeBilinear,
  resizeNearest,
  sigmoid,
  silu,
  softmax as softmaxOp,
  softplus,
  tanh,
  type Pair,
} from '../ops';
import type { Tensor } from '../tensor';
import type { CrossEntropyLossOptions } from './losses';
import type { AvgPool2dOptions, Pool2dOptions } from './pooling';

export { conv2d, convTranspose2d as convTranspose2d, linear, oneHot } from '../ops';
export {
  adaptiveAvgPool2d,
  adaptiveMaxPool2d,
  elu,
  flatten,
  gelu,
  huberLoss,
  mseLoss,
  relu,
  relu6,
  sigmoid,
  silu,
  softplus,
  tanh,
};
export {
  hardSigmoid as hardsigmoid,
  hardSilu as hardswish,
  leakyRelu as leakyRelu,
  maeLoss as l1Loss,
  binaryCrossEntropy as binaryCrossEntropy,
  binaryCrossEntropyWithLogits as binaryCrossEntropyWithLogits,
};

export function maxPool2d(x: Tensor, kernelSize: Pair, options: Omit<Pool2dOptions, 'dataFormat'> = {}): Tensor {
  return maxPool(x, { poolSize: kernelSize, ...options });
}

export function avgPool2d(x: Tensor, kernelSize: Pair, options: Omit<AvgPool2dOptions, 'dataFormat'> = {}): Tensor {
  return avgPool(x, { poolSize: kernelSize, ...options });
}

export function softmax(x: Tensor, dim = -1): Tensor {
  return softmaxOp(x, dim);
}

export function logSoftmax(x: Tensor, dim = -1): Tensor {
  return logSoftmaxOp(x, dim);
}

/** @param p the probability that an element is dropped */
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
