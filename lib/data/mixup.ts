import { ConvgradError } from '../errors';
import { tidy } from '../memory';
import { add, cast, gather, mul, oneHot } from '../ops';
import { tensor, type DType, type Tensor } from '../tensor';
import type { Random } from './random';

export interface MixupOptions {
  /** Number of classes, the size of the soft labels. */
  classes: number;
  /** The weight of the first image is drawn from Beta(alpha, alpha): less of it mixes less. Default 0.2. */
  alpha?: number;
}

/**
 * Mixes the images of a batch in pairs, and their labels likewise (Zhang et al., "mixup: beyond empirical risk
 * minimization", 2018): `batches.map(mixup({ classes: 10 }))`.
 * @returns a function from [images, labels], where labels are int32 [N] or float32 [N, classes], to float32 images and
 *   float32 labels [N, classes]
 */
export function mixup({ classes, alpha = 0.2 }: MixupOptions) {
  if (!Number.isSafeInteger(classes) || classes < 1) {
    throw new ConvgradError('ERR_VALUE', `mixup: classes must be an integer of at least 1, got ${classes}`);
  }
  if (!(alpha > 0)) throw new ConvgradError('ERR_VALUE', `mixup: alpha must be above 0, got ${alpha}`);
  return (
    [images, labels]: readonly [images: Tensor<DType>, labels: Tensor<DType>],
    _index: number,
    random: Random,
  ): [images: Tensor, labels: Tensor] =>
    tidy(() => {
      const weight = beta(alpha, random);
      const partners = tensor(permutation(images.shape[0]!, random));
      const mixed = (x: Tensor) => add(mul(x, weight), mul(gather(x, partners), 1 - weight));
      return [mixed(cast(images, 'float32')), mixed(softLabels(labels, classes))];
    });
}

function softLabels(labels: Tensor<DType>, classes: number): Tensor {
  if (labels.dtype === 'int32' && labels.rank === 1) return oneHot(labels as Tensor<DType> as Tensor<'int32'>, classes);
  if (labels.dtype === 'float32' && labels.rank === 2 && labels.shape[1] === classes)
    return labels as Tensor<DType> as Tensor;
  throw new ConvgradError(
    'ERR_SHAPE',
    `mixup: labels must be int32 [N] or float32 [N, ${classes}], got ${labels.dtype} [${labels.shape.join(', ')}]`,
  );
}

/** A random order of 0 … count - 1. */
function permutation(count: number, random: Random): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; --i) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** Beta(alpha, alpha) by Jöhnk's method, with logarithms, for u^(1/alpha) may be too small for a number. */
function beta(alpha: number, random: Random): number {
  for (;;) {
    // From (0, 1], which has a logarithm.
    const [u, v] = [Math.log(1 - random()) / alpha, Math.log(1 - random()) / alpha];
    if (Math.exp(u) + Math.exp(v) <= 1) return 1 / (1 + Math.exp(v - u));
  }
}
