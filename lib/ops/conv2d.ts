import { differentiable, needsGradient } from '../autograd';
import { ConvgradError } from '../errors';
import { native, type ConvAlgorithm, type EpilogueActivation, type Handle } from '../native';
import { getPrecision } from '../precision';
import { Tensor, type Shape } from '../tensor';
import { reshape } from './shape';
import { epilogueGradient, withActivation } from './epilogue';
import {
  backwardInput,
  backwardWeight,
  convParams,
  forward,
  windowParams,
  windowsIn,
  type Conv2dGradientOptions,
  type ConvParams,
  type PrecisionOption,
  type Window2dOptions,
} from './convParams';

export type { ConvAlgorithm, EpilogueActivation };
export type { Conv2dGradientOptions, PrecisionOption, Window2dOptions } from './convParams';

export interface Conv2dOptions extends Conv2dGradientOptions {
  /** Applied to the result in the same pass. Default 'none'. */
  activation?: EpilogueActivation;
  /** Added before the activation; of the output's shape. */
  residual?: Tensor;
}

/**
 * Two-dimensional convolution (cross-correlation): `y[n, p, q, k] = activation(Σ x[n, p·stride + r·dilation - padding, …,
 * c] · weight[r, s, c, k] + bias[k] + residual)`.
 *
 * @param x [N, H, W, C]
 * @param weight [R, S, C / groups, K]
 * @param bias [K]
 * @returns [N, P, Q, K]
 * @throws ERR_SHAPE where the shapes do not fit each other, or the kernel is larger than the padded input
 */
export function conv2d(x: Tensor, weight: Tensor, bias?: Tensor | null, options: Conv2dOptions = {}): Tensor {
  const { residual = null } = options;
  const params = convParams('conv2d', options);
  return withActivation(options.activation, [x, weight, bias, residual], (activation) => {
    const y = new Tensor(
      native.conv2d(x.handle, weight.handle, bias?.handle ?? null, residual?.handle ?? null, ...params, activation),
    );
    const [wantsBias, xShape, weightShape] = [needsGradient(bias), x.shape, weight.shape];
    const saved = {
      x: needsGradient(weight) ? x : null,
      weight: needsGradient(x) ? weight : null,
      y: activation === 'none' ? null : y,
    };
    return differentiable('conv2d', y, { x, weight, bias, residual }, saved, (dy, { x, weight, y }) => {
      const { dz, dbias } = epilogueGradient(dy, y, activation, wantsBias);
      return {
        x: () => backwardInput(dz, weight!, xShape, params),
        weight: () => backwardWeight(x!, dz, weightShape, params),
        bias: () => dbias!,
        residual: () => dz,
      };
    });
  });
}

export interface Conv2dMaxPoolOptions extends Window2dOptions, PrecisionOption {
  /** Applied before the maximum. Default 'none'. */
  activation?: 'none' | 'relu' | 'relu6';
}

/**
 * `maxPool2d(conv2d(x, weight, bias, options), { poolSize: 2 })` in one pass: the convolution itself is never written to
 * memory, nor read back for its gradient.
 *
 * @param x [N, H, W, C]
 * @param weight [R, S, C, K]
 * @param bias [K]
 * @returns [N, P / 2, Q / 2, K], rounded down
 * @throws ERR_SHAPE where the shapes do not fit each other, or the convolution has less than 2x2 pixels
 */
export function conv2dMaxPool(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: Conv2dMaxPoolOptions = {},
): Tensor {
  const { activation = 'none', precision = getPrecision() } = options;
  const windows = windowParams('conv2dMaxPool', options);
  const handles = native.conv2dMaxPool(
    x.handle,
    weight.handle,
    bias?.handle ?? null,
    ...windows,
    precision,
    activation,
  );
  const [y, indices] = [new Tensor(handles[0]), new Tensor<'int32'>(handles[1])];
  const params: ConvParams = [...windows, 1, 'auto', precision];
  const [wantsBias, xShape, weightShape] = [needsGradient(bias), x.shape, weight.shape];
  const size = windowsIn(xShape.slice(1, 3), weightShape, windows);
  const saved = {
    x: needsGradient(weight) ? x : null,
    weight: needsGradient(x) ? weight : null,
    y: activation === 'none' ? null : y,
    indices,
  };
  differentiable('conv2dMaxPool', y, { x, weight, bias }, saved, (dy, { x, weight, y, indices }) => {
    const { dz, dbias } = epilogueGradient(dy, y, activation, wantsBias);
    const pooled = (): Handle =>
      native.maxPool2dBackward(dz.handle, indices.handle, size, [2, 2], [2, 2], [0, 0, 0, 0], false, false);
    const dconv = x || weight ? new Tensor(pooled()) : dz;
    return {
      x: () => backwardInput(dconv, weight!, xShape, params),
      weight: () => backwardWeight(x!, dconv, weightShape, params),
      bias: () => dbias!,
    };
  });
  indices.dispose(); // the tape keeps its own reference
  return y;
}

/**
 * Convolution of each channel by itself; output channels c·M … c·M + M - 1 come from channel c.
 *
 * @param x [N, H, W, C]
 * @param weight [R, S, C, M], as in Keras
 * @param bias [C·M]
 * @returns [N, P, Q, C·M]
 */
export function depthwiseConv2d(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: Omit<Conv2dOptions, 'groups'> = {},
): Tensor {
  const [r, s, channels, multiplier] = weight.shape;
  if (weight.rank !== 4) {
    throw new ConvgradError(
      'ERR_SHAPE',
      `depthwiseConv2d: weight must have 4 dimensions [R, S, C, M], got [${weight.shape.join(', ')}]`,
    );
  }
  if (x.rank === 4 && x.shape[3] !== channels) {
    throw new ConvgradError(
      'ERR_SHAPE',
      `depthwiseConv2d: weight [${weight.shape.join(', ')}] wants ${channels} input channels, ` +
        `input [${x.shape.join(', ')}] has ${x.shape[3]}`,
    );
  }
  const flat = reshape(weight, [r!, s!, 1, channels! * multiplier!]);
  return conv2d(x, flat, bias, { ...options, groups: channels! });
}

/**
 * The gradient of `conv2d` with respect to its input.
 *
 * @param dy [N, P, Q, K], the gradient of the output
 * @param weight [R, S, C / groups, K]
 * @param inputShape [N, H, W, C]
 */
export function conv2dBackwardInput(
  dy: Tensor,
  weight: Tensor,
  inputShape: Shape,
  options: Conv2dGradientOptions = {},
): Tensor {
  const params = convParams('conv2dBackwardInput', options);
  const dx = backwardInput(dy, weight, inputShape, params);
  return differentiable('conv2dBackwardInput', dx, { dy, weight }, { dy, weight }, (g, { dy, weight }) => ({
    dy: () => forward(g, weight, params),
    weight: () => backwardWeight(g, dy, weight.shape, params),
  }));
}

/**
 * The gradient of `conv2d` with respect to its weight.
 *
 * @param x [N, H, W, C]
 * @param dy [N, P, Q, K], the gradient of the output
 * @param weightShape [R, S, C / groups, K]
 */
export function conv2dBackwardWeight(
  x: Tensor,
  dy: Tensor,
  weightShape: Shape,
  options: Conv2dGradientOptions = {},
): Tensor {
  const params = convParams('conv2dBackwardWeight', options);
  const dweight = backwardWeight(x, dy, weightShape, params);
  return differentiable('conv2dBackwardWeight', dweight, { x, dy }, { x, dy }, (g, { x, dy }) => ({
    x: () => backwardInput(dy, g, x.shape, params),
    dy: () => forward(x, g, params),
  }));
}
