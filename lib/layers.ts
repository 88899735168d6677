/**
 * The layers under Keras's names and with Keras's defaults (camelCase): `layers.conv2d({ filters: 32, kernelSize: 3 })`.
 *
 * They are the same layers as those of `nn`. Weights are made when the shape of the input is known: from `inputShape` of
 * a model's first layer, or at the first call. Shapes in options leave the batch axis out, as in Keras.
 */
import { ConvgradError } from './errors';
import * as nn from './nn';
import type { ActivationOption as Activation, DataFormat, Initializer, Module, PerChannel } from './nn';
import type { Padding2d, Pair } from './ops';
import type { Shape } from './tensor';

export { input } from './nn';

/** What every layer takes. */
export interface LayerOptions {
  /** Default: the type with a number, such as `conv2d_1`. */
  name?: string;
  /** Of the first layer of a model: the shape of one input, without the batch axis. */
  inputShape?: Shape;
  /** False freezes the layer. Default true. */
  trainable?: boolean;
}

const LAYER_OPTIONS: readonly string[] = ['name', 'inputShape', 'trainable'] satisfies (keyof LayerOptions)[];

/** Finishes a layer. What is left of its options must be those that every layer takes. */
function keras<M extends Module>(type: string, layer: M, options: LayerOptions): M {
  const unknown = Object.keys(options).filter((key) => !LAYER_OPTIONS.includes(key));
  if (unknown.length > 0) {
    throw new ConvgradError('ERR_VALUE', `${type}: there is no option ${unknown.map((key) => `'${key}'`).join(', ')}`);
  }
  layer.kerasType = type;
  layer.name = options.name;
  if (options.inputShape) layer.inputShapes = [options.inputShape];
  if (options.trainable === false) layer.trainable = false;
  return layer;
}

/** What layers with a kernel take. */
interface KernelOptions extends LayerOptions {
  /** By name, or any function of a tensor. Default none. */
  activation?: Activation | null;
  /** Default true. */
  useBias?: boolean;
  /** By name or a function. Default `'glorotUniform'`. */
  kernelInitializer?: Initializer;
  /** By name or a function. Default `'zeros'`. */
  biasInitializer?: Initializer;
}

interface WindowOptions {
  /** Distance of neighbouring windows. Default 1. */
  strides?: Pair;
  /** Default `'valid'`. */
  padding?: Padding2d;
  /** Default `'channels_last'`: [N, H, W, C]. */
  dataFormat?: DataFormat;
}

interface ConvOptions extends KernelOptions, WindowOptions {
  /** Height and width of the kernel. */
  kernelSize: Pair;
  /** Distance of the kernel's taps. Default 1. */
  dilationRate?: Pair;
}

/** The options that all convolutions share, in the words of `nn`, and the others. */
function convolution<O extends ConvOptions>(options: O) {
  const {
    kernelSize,
    strides: stride = 1,
    padding = 'valid',
    dataFormat = 'channels_last',
    dilationRate: dilation = 1,
    activation,
    useBias: bias = true,
    kernelInitializer = 'glorotUniform',
    biasInitializer = 'zeros',
    ...rest
  } = options;
  const shared = {
    kernelSize,
    stride,
    padding,
    dataFormat,
    dilation,
    activation,
    bias,
    kernelInitializer,
    biasInitializer,
  };
  return { shared, rest };
}

export interface Conv2dLayerOptions extends ConvOptions {
  /** Output channels. */
  filters: number;
  /** Default 1. */
  groups?: number;
}

/** Keras `Conv2D`: [N, H, W, C] → [N, P, Q, filters]. */
export function conv2d(options: Conv2dLayerOptions): nn.Conv2d {
  const { shared, rest } = convolution(options);
  const { filters, groups, ...common } = rest;
  return keras('Conv2D', new nn.Conv2d(null, filters, { ...shared, groups }), common);
}

export interface DepthwiseConv2dLayerOptions extends ConvOptions {
  /** Output channels for each input channel. Default 1. */
  depthMultiplier?: number;
  /** By name or a function. Default `'glorotUniform'`. */
  depthwiseInitializer?: Initializer;
}

/** Keras `DepthwiseConv2D`: [N, H, W, C] → [N, P, Q, C · depthMultiplier]. */
export function depthwiseConv2d(options: DepthwiseConv2dLayerOptions): nn.DepthwiseConv2d {
  const { shared, rest } = convolution(options);
  const { depthMultiplier, depthwiseInitializer: kernelInitializer = shared.kernelInitializer, ...common } = rest;
  const layer = new nn.DepthwiseConv2d(null, { ...shared, depthMultiplier, kernelInitializer });
  return keras('DepthwiseConv2D', layer, common);
}

export interface SeparableConv2dLayerOptions extends DepthwiseConv2dLayerOptions {
  /** Output channels. */
  filters: number;
  /** By name or a function. Default `'glorotUniform'`. */
  pointwiseInitializer?: Initializer;
}

/** Keras `SeparableConv2D`: [N, H, W, C] → [N, P, Q, filters]. */
export function separableConv2d(options: SeparableConv2dLayerOptions): nn.SeparableConv2d {
  const { shared, rest } = convolution(options);
  const {
    filters,
    depthMultiplier,
    depthwiseInitializer: kernelInitializer = shared.kernelInitializer,
    pointwiseInitializer = shared.kernelInitializer,
    ...common
  } = rest;
  const layer = new nn.SeparableConv2d(null, filters, {
    ...shared,
    depthMultiplier,
    kernelInitializer,
    pointwiseInitializer,
  });
  return keras('SeparableConv2D', layer, common);
}

export interface Conv2dTransposeLayerOptions extends ConvOptions {
  /** Output channels. */
  filters: number;
  /** Rows and columns added to the output. Default: none. */
  outputPadding?: Pair;
}

/** Keras `Conv2DTranspose`: [N, P, Q, C] → [N, H, W, filters]. */
export function conv2dTranspose(options: Conv2dTransposeLayerOptions): nn.ConvTranspose2d {
  const { shared, rest } = convolution(options);
  const { filters, outputPadding, ...common } = rest;
  return keras('Conv2DTranspose', new nn.ConvTranspose2d(null, filters, { ...shared, outputPadding }), common);
}

export interface DenseLayerOptions extends KernelOptions {
  /** Output features. */
  units: number;
}

/** Keras `Dense`: [..., features] → [..., units]. */
export function dense(options: DenseLayerOptions): nn.Linear {
  const {
    units,
    activation,
    useBias: bias = true,
    kernelInitializer = 'glorotUniform',
    biasInitializer = 'zeros',
    ...common
  } = options;
  return keras('Dense', new nn.Linear(null, units, { activation, bias, kernelInitializer, biasInitializer }), common);
}

export interface PoolingLayerOptions extends LayerOptions, Omit<WindowOptions, 'strides'> {
  /** Height and width of a window. Default 2. */
  poolSize?: Pair;
  /** Default: `poolSize`. */
  strides?: Pair | null;
}

function pooling(options: PoolingLayerOptions) {
  const { poolSize = 2, strides, padding = 'valid', dataFormat, ...common } = options;
  return { poolSize, shared: { stride: strides ?? undefined, padding, dataFormat }, common };
}

/** Keras `MaxPooling2D`: [N, H, W, C] → [N, P, Q, C]. */
export function maxPooling2d(options: PoolingLayerOptions = {}): nn.MaxPool2d {
  const { poolSize, shared, common } = pooling(options);
  return keras('MaxPooling2D', new nn.MaxPool2d(poolSize, shared), common);
}

/** Keras `AveragePooling2D`: [N, H, W, C] → [N, P, Q, C]. Padding does not count. */
export function averagePooling2d(options: PoolingLayerOptions = {}): nn.AvgPool2d {
  const { poolSize, shared, common } = pooling(options);
  return keras('AveragePooling2D', new nn.AvgPool2d(poolSize, { ...shared, countIncludePad: false }), common);
}

export interface GlobalPoolingLayerOptions extends LayerOptions {
  /** Whether the result is [N, 1, 1, C] and not [N, C]. Default false. */
  keepDims?: boolean;
  /** Default `'channels_last'`: [N, H, W, C]. */
  dataFormat?: DataFormat;
}

/** Keras `GlobalAveragePooling2D`: [N, H, W, C] → [N, C]. */
export function globalAveragePooling2d(options: GlobalPoolingLayerOptions = {}): nn.GlobalAvgPool2d {
  const { keepDims, dataFormat, ...common } = options;
  return keras('GlobalAveragePooling2D', new nn.GlobalAvgPool2d({ keepDims, dataFormat }), common);
}

/** Keras `GlobalMaxPooling2D`: [N, H, W, C] → [N, C]. */
export function globalMaxPooling2d(options: GlobalPoolingLayerOptions = {}): nn.GlobalMaxPool2d {
  const { keepDims, dataFormat, ...common } = options;
  return keras('GlobalMaxPooling2D', new nn.GlobalMaxPool2d({ keepDims, dataFormat }), common);
}

export interface BatchNormalizationLayerOptions extends LayerOptions {
  /** The axis of the channels, counted with the batch. Default -1. */
  axis?: number;
  /** The weight of the old running statistics. Default 0.99. */
  momentum?: number;
  /** Added to the variance. Default 1e-3. */
  epsilon?: number;
  /** Whether there is an offset. Default true. */
  center?: boolean;
  /** Whether there is a scale. Default true. */
  scale?: boolean;
  /** By name or a function. Default `'zeros'`. */
  betaInitializer?: Initializer;
  /** By name or a function. Default `'ones'`. */
  gammaInitializer?: Initializer;
}

/** Keras `BatchNormalization`. Frozen, it normalises with its running statistics. */
export function batchNormalization(options: BatchNormalizationLayerOptions = {}): nn.BatchNorm2d {
  const {
    axis = -1,
    momentum = 0.99,
    epsilon = 1e-3,
    center = true,
    scale = true,
    betaInitializer = 'zeros',
    gammaInitializer = 'ones',
    ...common
  } = options;
  const layer = new nn.BatchNorm2d(null, {
    axis,
    momentum: 1 - momentum,
    eps: epsilon,
    center,
    scale,
    betaInitializer,
    gammaInitializer,
    unbiasedRunningVar: false,
  });
  return keras('BatchNormalization', layer, common);
}

export interface LayerNormalizationLayerOptions extends LayerOptions {
  /** The axes that are normalised together: the last one (default), or a list of the last ones, as negative numbers. */
  axis?: number | readonly number[];
  /** Added to the variance. Default 1e-3. */
  epsilon?: number;
  /** Whether there is an offset. Default true. */
  center?: boolean;
  /** Whether there is a scale. Default true. */
  scale?: boolean;
}

/** Keras `LayerNormalization`. */
export function layerNormalization(options: LayerNormalizationLayerOptions = {}): nn.LayerNorm {
  const { axis = -1, epsilon = 1e-3, center = true, scale = true, ...common } = options;
  const axes = [axis].flat().sort((a, b) => a - b);
  if (axes.some((value, i) => value !== i - axes.length)) {
    throw new ConvgradError(
      'ERR_VALUE',
      `LayerNormalization: axis must be -1 or a list of the last axes such as [-2, -1], got ${JSON.stringify(axis)}`,
    );
  }
  const layer = new nn.LayerNorm({ rank: axes.length }, { eps: epsilon, elementwiseAffine: scale, bias: center });
  return keras('LayerNormalization', layer, common);
}

export interface GroupNormalizationLayerOptions extends LayerOptions {
  /** Must divide the channels; -1: a group for each channel. Default 32. */
  groups?: number;
  /** Added to the variance. Default 1e-3. */
  epsilon?: number;
  /** Whether there is an offset. Default true. */
  center?: boolean;
  /** Whether there is a scale. Default true. */
  scale?: boolean;
}

/** Keras `GroupNormalization`, over the last axis. */
export function groupNormalization(options: GroupNormalizationLayerOptions = {}): nn.GroupNorm {
  const { groups = 32, epsilon = 1e-3, center = true, scale = true, ...common } = options;
  return keras('GroupNormalization', new nn.GroupNorm(groups, null, { eps: epsilon, center, scale }), common);
}

export interface DropoutLayerOptions extends LayerOptions {
  /** The probability that something is dropped, in [0, 1). */
  rate: number;
}

/** Keras `Dropout`. */
export function dropout({ rate, ...common }: DropoutLayerOptions): nn.Dropout {
  return keras('Dropout', new nn.Dropout(rate), common);
}

/** Keras `SpatialDropout2D`: drops whole channels. */
export function spatialDropout2d({ rate, ...common }: DropoutLayerOptions): nn.SpatialDropout2d {
  return keras('SpatialDropout2D', new nn.SpatialDropout2d(rate), common);
}

export interface FlattenLayerOptions extends LayerOptions {
  /** Default `'channels_last'`: [N, H, W, C]. */
  dataFormat?: DataFormat;
}

/** Keras `Flatten`: [N, H, W, C] → [N, H·W·C]. */
export function flatten({ dataFormat, ...common }: FlattenLayerOptions = {}): nn.Flatten {
  return keras('Flatten', new nn.Flatten(1, dataFormat), common);
}

/** Keras `Reshape`: [N, ...] → [N, ...targetShape]; one dimension may be -1. */
export function reshape({ targetShape, ...common }: LayerOptions & { targetShape: Shape }): nn.Reshape {
  return keras('Reshape', new nn.Reshape(targetShape), common);
}

/** Keras `Permute`: the axes of a sample, counted from 1, in another order. */
export function permute({ dims, ...common }: LayerOptions & { dims: readonly number[] }): nn.Permute {
  return keras('Permute', new nn.Permute(dims), common);
}

export interface ZeroPadding2dLayerOptions extends LayerOptions {
  /** A number, [vertical, horizontal] or [[top, bottom], [left, right]]. Default 1. */
  padding?: Padding2d;
  /** Default `'channels_last'`: [N, H, W, C]. */
  dataFormat?: DataFormat;
}

/** Keras `ZeroPadding2D`. */
export function zeroPadding2d(options: ZeroPadding2dLayerOptions = {}): nn.ZeroPadding2d {
  const { padding, dataFormat, ...common } = options;
  return keras('ZeroPadding2D', new nn.ZeroPadding2d(padding, { dataFormat }), common);
}

export interface Cropping2dLayerOptions extends LayerOptions {
  /** A number, [vertical, horizontal] or [[top, bottom], [left, right]]. Default 0. */
  cropping?: Padding2d;
  /** Default `'channels_last'`: [N, H, W, C]. */
  dataFormat?: DataFormat;
}

/** Keras `Cropping2D`. */
export function cropping2d(options: Cropping2dLayerOptions = {}): nn.Cropping2d {
  const { cropping, dataFormat, ...common } = options;
  return keras('Cropping2D', new nn.Cropping2d(cropping, { dataFormat }), common);
}

export interface UpSampling2dLayerOptions extends LayerOptions, nn.UpSampling2dOptions {
  /** How many times larger, [vertical, horizontal] or both. Default 2. */
  size?: Pair;
}

/** Keras `UpSampling2D`. */
export function upSampling2d(options: UpSampling2dLayerOptions = {}): nn.UpSampling2d {
  const { size, interpolation, dataFormat, ...common } = options;
  return keras('UpSampling2D', new nn.UpSampling2d(size, { interpolation, dataFormat }), common);
}

export interface RescalingLayerOptions extends LayerOptions {
  scale: PerChannel;
  /** Default 0. */
  offset?: PerChannel;
}

/** Keras `Rescaling`: x · scale + offset. Takes bytes too. */
export function rescaling({ scale, offset, ...common }: RescalingLayerOptions): nn.Rescaling {
  return keras('Rescaling', new nn.Rescaling(scale, offset), common);
}

/** Keras `Normalization`: (x - mean) / std, given or learnt by `adapt(data)`. */
export function normalization(options: LayerOptions & nn.NormalizationOptions = {}): nn.Normalization {
  const { axis, mean, variance, invert, ...common } = options;
  return keras('Normalization', new nn.Normalization({ axis, mean, variance, invert }), common);
}

/** Keras `Activation`: by name, or any function of a tensor. */
export function activation(options: LayerOptions & { activation: Activation }): nn.Activation {
  const { activation: name, ...common } = options;
  return keras('Activation', new nn.Activation(name), common);
}

/** Keras `Softmax`, along the last axis by default. */
export function softmax({ axis, ...common }: LayerOptions & { axis?: number } = {}): nn.Softmax {
  return keras('Softmax', new nn.Softmax(axis), common);
}

/** Keras `ReLU`. */
export function reLU(options: LayerOptions & { maxValue?: number | null; negativeSlope?: number } = {}): Module {
  const { maxValue = null, negativeSlope = 0, ...common } = options;
  if (maxValue === null && negativeSlope === 0) return keras('ReLU', new nn.ReLU(), common);
  if (maxValue === 6 && negativeSlope === 0) return keras('ReLU', new nn.ReLU6(), common);
  if (maxValue === null) return keras('ReLU', new nn.LeakyReLU(negativeSlope), common);
  throw new ConvgradError(
    'ERR_VALUE',
    `ReLU: maxValue must be 6 or absent, and then without negativeSlope, got ${maxValue}`,
  );
}

/** Keras `LeakyReLU`. Default slope 0.3. */
export function leakyReLU(options: LayerOptions & { negativeSlope?: number } = {}): nn.LeakyReLU {
  const { negativeSlope = 0.3, ...common } = options;
  return keras('LeakyReLU', new nn.LeakyReLU(negativeSlope), common);
}

/** Keras `ELU`. */
export function elu({ alpha, ...common }: LayerOptions & { alpha?: number } = {}): nn.ELU {
  return keras('ELU', new nn.ELU(alpha), common);
}

/** Keras `Identity`. */
export function identity(options: LayerOptions = {}): nn.Identity {
  return keras('Identity', new nn.Identity(), options);
}

/** Keras `Add`: `layers.add()([a, b])`. */
export function add(options: LayerOptions = {}): nn.Add {
  return keras('Add', new nn.Add(), options);
}

/** Keras `Subtract`: `layers.subtract()([a, b])`. */
export function subtract(options: LayerOptions = {}): nn.Subtract {
  return keras('Subtract', new nn.Subtract(), options);
}

/** Keras `Multiply`: `layers.multiply()([a, b])`. */
export function multiply(options: LayerOptions = {}): nn.Multiply {
  return keras('Multiply', new nn.Multiply(), options);
}

/** Keras `Average`: `layers.average()([a, b])`. */
export function average(options: LayerOptions = {}): nn.Average {
  return keras('Average', new nn.Average(), options);
}

/** Keras `Maximum`: `layers.maximum()([a, b])`. */
export function maximum(options: LayerOptions = {}): nn.Maximum {
  return keras('Maximum', new nn.Maximum(), options);
}

/** Keras `Minimum`: `layers.minimum()([a, b])`. */
export function minimum(options: LayerOptions = {}): nn.Minimum {
  return keras('Minimum', new nn.Minimum(), options);
}

/** Keras `Concatenate`, along the last axis by default: `layers.concatenate()([a, b])`. */
export function concatenate({ axis, ...common }: LayerOptions & { axis?: number } = {}): nn.Concatenate {
  return keras('Concatenate', new nn.Concatenate(axis), common);
}
