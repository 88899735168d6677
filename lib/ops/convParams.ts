import { native, type ConvAlgorithm, type EpilogueActivation, type Precision } from '../native';
import { getPrecision } from '../precision';
import { Tensor, type Shape } from '../tensor';
import { paddingOf, pairOf, type Padding2d, type Pair } from './window';

export interface Window2dOptions {
  /** Default 1. */
  stride?: Pair;
  /** Default 'valid'. */
  padding?: Padding2d;
  /** Distance of the kernel's taps. Default 1. */
  dilation?: Pair;
}

export interface PrecisionOption {
  /** What algorithm 'auto' may choose from. Default: what `setPrecision` has set, or 'high'. */
  precision?: Precision;
}

export interface Conv2dGradientOptions extends Window2dOptions, PrecisionOption {
  /** The input's channels and the output's are cut into so many groups, which do not see each other. Default 1. */
  groups?: number;
  /** Default 'auto'. Asking for one that cannot do the problem throws ERR_VALUE. */
  algorithm?: ConvAlgorithm;
}

/** @internal */
export type WindowParams = [stride: readonly number[], padding: readonly number[], dilation: readonly number[]];

/** @internal */
export function windowParams(
  op: string,
  { stride = 1, padding = 'valid', dilation = 1 }: Window2dOptions,
): WindowParams {
  return [pairOf(op, 'stride', stride), paddingOf(op, padding), pairOf(op, 'dilation', dilation)];
}

/** @internal What the native ops of convolution take, in their order. */
export type ConvParams = [...WindowParams, groups: number, algorithm: ConvAlgorithm, precision: Precision];

/** @internal */
export function convParams(op: string, options: Conv2dGradientOptions): ConvParams {
  const { groups = 1, algorithm = 'auto', precision = getPrecision() } = options;
  return [...windowParams(op, options), groups, algorithm, precision];
}

/** @internal How many windows an image of [height, width] has, [rows, columns]; less than 1 where none fits. */
export function windowsIn(size: readonly number[], kernel: readonly number[], params: WindowParams): [number, number] {
  const [stride, padding, dilation] = params;
  const along = (axis: 0 | 1): number => {
    if (padding.length === 0) return Math.ceil(size[axis]! / stride[axis]!); // 'same'
    const padded = size[axis]! + padding[2 * axis]! + padding[2 * axis + 1]!;
    return Math.floor((padded - (kernel[axis]! - 1) * dilation[axis]! - 1) / stride[axis]!) + 1;
  };
  return [along(0), along(1)];
}

/** @internal */
export function forward(x: Tensor, weight: Tensor, params: ConvParams): Tensor {
  return new Tensor(native.conv2d(x.handle, weight.handle, null, null, ...params, 'none'));
}

/** @internal */
export function backwardInput(
  dy: Tensor,
  weight: Tensor,
  inputShape: Shape,
  params: ConvParams,
  bias: Tensor | null | undefined = null,
  activation: EpilogueActivation = 'none',
): Tensor {
  return new Tensor(
    native.conv2dBackwardInput(dy.handle, weight.handle, bias?.handle ?? null, ...params, inputShape, activation),
  );
}

/** @internal */
export function backwardWeight(x: Tensor, dy: Tensor, weightShape: Shape, params: ConvParams): Tensor {
  return new Tensor(native.conv2dBackwardWeight(x.handle, dy.handle, ...params, weightShape));
}
