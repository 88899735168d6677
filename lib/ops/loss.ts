import { differentiable, needsGradient } from '../autograd';
import { ConvgradError } from '../errors';
import { native, type DType, type PointwiseLossFunction, type Reduction } from '../native';
import { Tensor } from '../tensor';

export interface LossOptions {
  /** Default `'mean'`. */
  reduction?: Reduction;
  /**
   * Multiplies the losses. It has the shape of the unreduced loss, or the first dimensions of it. A mean still divides by
   * the number of losses, as in Keras.
   */
  sampleWeight?: Tensor | null;
}

export interface CrossEntropyOptions extends LossOptions {
  /** s: targets t become (1 - s) · t + s / classes. Default 0. */
  labelSmoothing?: number;
  /**
   * Multiplies each class's term: [classes]. With integer labels a mean then divides by the sum of the labels' weights, as
   * in PyTorch.
   */
  classWeight?: Tensor | null;
}

/** Keras's epsilon, which probabilities are clipped to. */
const EPSILON = 1e-7;

/**
 * Cross-entropy of softmax(logits), over the last axis: -Σ target · log softmax(logits). Stable for any finite logits.
 * @param logits [N, ..., classes]
 * @param target int32 labels [N, ...], or float32 probabilities [N, ..., classes]; no gradient flows to them
 * @returns a scalar, or [N, ...] with reduction 'none'
 * @throws ERR_VALUE when the result is awaited and a label is not in [0, classes)
 */
export function crossEntropy(
  logits: Tensor,
  target: Tensor<'float32' | 'int32'>,
  options: CrossEntropyOptions = {},
): Tensor {
  return classLoss('crossEntropy', logits, target, options, true, 0);
}

/**
 * Cross-entropy of probabilities, as Keras computes it: they are divided by their sum and clipped to
 * [epsilon, 1 - epsilon]; no gradient flows through a clipped one. Where there are logits, `crossEntropy` is better.
 * @param probabilities [N, ..., classes]
 * @param target int32 labels [N, ...], or float32 probabilities [N, ..., classes]; no gradient flows to them
 */
export function crossEntropyFromProbabilities(
  probabilities: Tensor,
  target: Tensor<'float32' | 'int32'>,
  { epsilon = EPSILON, ...options }: CrossEntropyOptions & { epsilon?: number } = {},
): Tensor {
  return classLoss('crossEntropyFromProbabilities', probabilities, target, options, false, epsilon);
}

function classLoss(
  name: string,
  scores: Tensor,
  target: Tensor<'float32' | 'int32'>,
  { labelSmoothing = 0, classWeight, sampleWeight, reduction = 'mean' }: CrossEntropyOptions,
  fromLogits: boolean,
  epsilon: number,
): Tensor {
  refuseGradients(name, { target, classWeight, sampleWeight });
  const params = [fromLogits, labelSmoothing, epsilon, reduction] as const;
  const outputs = native.crossEntropy(
    scores.handle,
    target.handle,
    classWeight?.handle ?? null,
    sampleWeight?.handle ?? null,
    ...params,
  );
  const [loss, statistics, divisor] = outputs.map((handle) => new Tensor(handle)) as [Tensor, Tensor, Tensor];
  const saved = { scores, target, statistics, divisor, classWeight, sampleWeight };
  const result = differentiable(name, loss, { scores }, saved, (dy, saved) => ({
    scores: () =>
      new Tensor(
        native.crossEntropyBackward(
          saved.scores.handle,
          saved.target.handle,
          saved.statistics.handle,
          saved.divisor.handle,
          dy.handle,
          saved.classWeight?.handle ?? null,
          saved.sampleWeight?.handle ?? null,
          ...params,
        ),
      ),
  }));
  statistics.dispose(); // the tape keeps its own references
  divisor.dispose();
  return result;
}

export interface BinaryCrossEntropyOptions extends LossOptions {
  /** s: targets t become (1 - s) · t + s / 2. Default 0. */
  labelSmoothing?: number;
}

/**
 * `-(t · log p + (1 - t) · log(1 - p))` for each element, with p clipped to [epsilon, 1 - epsilon] as in Keras; no
 * gradient flows through a clipped one.
 * @param target like `probabilities`; no gradient flows to it
 */
export function binaryCrossEntropy(
  probabilities: Tensor,
  target: Tensor,
  { epsilon = EPSILON, ...options }: BinaryCrossEntropyOptions & { epsilon?: number } = {},
): Tensor {
  refuseGradients('binaryCrossEntropy', { target });
  return pointwiseLoss('binaryCrossEntropy', probabilities, target, options, epsilon);
}

/** binaryCrossEntropy of sigmoid(logits), without overflow or clipping. */
export function binaryCrossEntropyWithLogits(
  logits: Tensor,
  target: Tensor,
  options: BinaryCrossEntropyOptions = {},
): Tensor {
  refuseGradients('binaryCrossEntropyWithLogits', { target });
  return pointwiseLoss('binaryCrossEntropyWithLogits', logits, target, options);
}

/** `(prediction - target)²` for each element. */
export const mseLoss = (prediction: Tensor, target: Tensor, options: LossOptions = {}): Tensor =>
  pointwiseLoss('mseLoss', prediction, target, options);

/** `|prediction - target|` for each element; where they are equal the gradient is 0. */
export const maeLoss = (prediction: Tensor, target: Tensor, options: LossOptions = {}): Tensor =>
  pointwiseLoss('maeLoss', prediction, target, options);

/** For d = prediction - target: `½ d²` where |d| <= delta, else `delta · (|d| - ½ delta)`. Default delta 1. */
export const huberLoss = (
  prediction: Tensor,
  target: Tensor,
  { delta = 1, ...options }: LossOptions & { delta?: number } = {},
): Tensor => pointwiseLoss('huberLoss', prediction, target, options, delta);

/** The losses of differences are symmetric: the gradient for the target is that with the operands' roles exchanged. */
function pointwiseLoss(
  fn: PointwiseLossFunction,
  prediction: Tensor,
  target: Tensor,
  { labelSmoothing = 0, sampleWeight, reduction = 'mean' }: BinaryCrossEntropyOptions,
  parameter = 0,
): Tensor {
  refuseGradients(fn, { sampleWeight });
  const params = [fn, parameter, labelSmoothing, reduction] as const;
  const loss = new Tensor(
    native.pointwiseLoss(prediction.handle, target.handle, sampleWeight?.handle ?? null, ...params),
  );
  const saved = { prediction, target, sampleWeight };
  return differentiable(fn, loss, { prediction, target }, saved, (dy, { prediction, target, sampleWeight }) => {
    const gradient = (of: Tensor, other: Tensor) => (): Tensor =>
      new Tensor(
        native.pointwiseLossBackward(of.handle, other.handle, dy.handle, sampleWeight?.handle ?? null, ...params),
      );
    return { prediction: gradient(prediction, target), target: gradient(target, prediction) };
  });
}

/** An operand that expects a gradient and would never get one is a mistake. */
function refuseGradients(op: string, operands: Record<string, Tensor<DType> | null | undefined>): void {
  for (const [name, operand] of Object.entries(operands)) {
    if (needsGradient(operand)) {
      throw new ConvgradError('ERR_VALUE', `${op}: no gradient flows to ${name}, but it requires one; detach() it`);
    }
  }
}
