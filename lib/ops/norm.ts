import { differentiable } from '../autograd';
import { ConvgradError } from '../errors';
import { native } from '../native';
import { Tensor } from '../tensor';
import { jointGradients } from './joint';

/** Scale and offset after normalisation. */
export interface AffineOptions {
  /** Scales each channel: [C]. Default: 1. */
  gamma?: Tensor | null;
  /** Added to each channel: [C]. Default: 0. */
  beta?: Tensor | null;
}

export interface BatchNormOptions extends AffineOptions {
  /** The mean, [C], that inference uses, and that training moves towards the batch's, in place, if it is given. */
  runningMean?: Tensor | null;
  /** The variance, [C], in the same way. */
  runningVar?: Tensor | null;
  /** Whether to normalise by the batch's own statistics, and to move the running ones towards them. */
  training: boolean;
  /** The weight of the new batch: running = (1 - momentum) · running + momentum · batch. Default 0.1. */
  momentum?: number;
  /** Added to the variance. Default 1e-5. */
  epsilon?: number;
  /** Whether the running variance collects unbiased ones, divided by n - 1, as in PyTorch (default), or biased as in Keras. */
  unbiasedRunningVar?: boolean;
}

/**
 * Normalises each channel: (x - mean) / √(variance + epsilon) · gamma + beta.
 * @param x [N, ..., C]; statistics are over all axes but the last
 * @throws ERR_VALUE for inference without running statistics; ERR_SHAPE for training with one value a channel, which has
 *   no unbiased variance
 */
export function batchNorm(x: Tensor, options: BatchNormOptions): Tensor {
  return options.training ? batchNormTraining(x, options) : batchNormInference(x, options);
}

function batchNormTraining(x: Tensor, options: BatchNormOptions): Tensor {
  const { gamma, beta, runningMean, runningVar, momentum = 0.1, epsilon = 1e-5, unbiasedRunningVar = true } = options;
  const outputs = native.batchNorm(
    x.handle,
    gamma?.handle ?? null,
    beta?.handle ?? null,
    runningMean?.handle ?? null,
    runningVar?.handle ?? null,
    momentum,
    epsilon,
    unbiasedRunningVar,
  );
  return recordNorm('batchNorm', outputs, { x, gamma, beta }, (...args) => native.batchNormBackward(...args));
}

function batchNormInference(x: Tensor, options: BatchNormOptions): Tensor {
  const { gamma, beta, runningMean: mean, runningVar: variance, epsilon = 1e-5 } = options;
  if (!mean || !variance) {
    throw new ConvgradError('ERR_VALUE', 'batchNorm: inference needs runningMean and runningVar');
  }
  const y = new Tensor(
    native.batchNormInference(
      x.handle,
      mean.handle,
      variance.handle,
      gamma?.handle ?? null,
      beta?.handle ?? null,
      epsilon,
    ),
  );
  const inputs = { x, gamma, beta };
  const saved = { x, mean, variance, gamma };
  return differentiable(
    'batchNorm',
    y,
    inputs,
    saved,
    jointGradients(inputs, (dy, { x, mean, variance, gamma }: typeof saved) =>
      native.batchNormInferenceBackward(
        x.handle,
        dy.handle,
        mean.handle,
        variance.handle,
        gamma?.handle ?? null,
        epsilon,
      ),
    ),
  );
}

export interface LayerNormOptions extends AffineOptions {
  /** How many of the last axes are normalised together; gamma and beta have their shape. Default 1. */
  normalizedRank?: number;
  /** Added to the variance. Default 1e-5. */
  epsilon?: number;
}

/**
 * Normalises each row of the last axes by its own mean and variance.
 * @param x [..., D1, ..., Dk] with k = normalizedRank
 */
export function layerNorm(x: Tensor, options: LayerNormOptions = {}): Tensor {
  const { gamma, beta, normalizedRank = 1, epsilon = 1e-5 } = options;
  const outputs = native.layerNorm(x.handle, gamma?.handle ?? null, beta?.handle ?? null, normalizedRank, epsilon);
  return recordNorm('layerNorm', outputs, { x, gamma, beta }, (...args) => native.layerNormBackward(...args));
}

export interface GroupNormOptions extends AffineOptions {
  /** Must divide the number of channels. 1: all channels together; C: each by itself (instance normalisation). */
  groups: number;
  /** Added to the variance. Default 1e-5. */
  epsilon?: number;
}

/**
 * Normalises each group of neighbouring channels of each sample over all positions.
 * @param x [N, ..., C]; gamma and beta are [C]
 */
export function groupNorm(x: Tensor, { groups, gamma, beta, epsilon = 1e-5 }: GroupNormOptions): Tensor {
  const outputs = native.groupNorm(x.handle, gamma?.handle ?? null, beta?.handle ?? null, groups, epsilon);
  return recordNorm('groupNorm', outputs, { x, gamma, beta }, (...args) => native.groupNormBackward(...args));
}

/** Records an op that returned y, mean and 1 / std, and whose backward op takes these. */
function recordNorm(
  name: string,
  outputs: ReturnType<typeof native.batchNorm>,
  inputs: { x: Tensor; gamma: Tensor | null | undefined; beta: Tensor | null | undefined },
  backward: typeof native.batchNormBackward,
): Tensor {
  const [y, mean, invStd] = outputs.map((handle) => new Tensor(handle)) as [Tensor, Tensor, Tensor];
  const saved = { x: inputs.x, mean, invStd, gamma: inputs.gamma };
  const result = differentiable(
    name,
    y,
    { ...inputs },
    saved,
    jointGradients({ ...inputs }, (dy, { x, mean, invStd, gamma }: typeof saved) =>
      backward(x.handle, dy.handle, mean.handle, invStd.handle, gamma?.handle ?? null),
    ),
  );
  mean.dispose(); // the tape keeps its own references
  invStd.dispose();
  return result;
}
