export { Parameter, Buffer } from './parameter';
export { Module, type ForwardHook } from './module';
export { ModuleList } from './containers';
export { Sequential, type SequentialItem } from './sequential';
export { Graph, input, type GraphOptions } from './graph';
export { SymbolicTensor, type OneOrMany } from './symbolic';
export { registerModule, toConfig, fromConfig, type ModuleConfig } from './registry';
export type { StateDict, LoadReport } from './state';
export type { SummaryOptions } from './summary';

export { Conv2d, type Conv2dOptions } from './conv2d';
export { DepthwiseConv2d, type DepthwiseConv2dOptions } from './depthwiseConv2d';
export { SeparableConv2d, type SeparableConv2dOptions } from './separableConv2d';
export { ConvTranspose2d, type ConvTranspose2dOptions } from './convTranspose2d';
export { Linear, type LinearOptions } from './linear';
export {
  MaxPool2d,
  AvgPool2d,
  AdaptiveAvgPool2d,
  AdaptiveMaxPool2d,
  GlobalAvgPool2d,
  GlobalMaxPool2d,
  type Pool2dOptions,
  type AvgPool2dOptions,
  type GlobalPool2dOptions,
} from './pooling';
export { BatchNorm2d, type BatchNorm2dOptions } from './batchNorm2d';
export { LayerNorm, GroupNorm, type LayerNormOptions, type GroupNormOptions } from './layerNorm';
export { Rescaling, Normalization, type NormalizationOptions, type PerChannel } from './normalization';
export { Dropout, SpatialDropout2d } from './dropout';
export {
  Flatten,
  Reshape,
  Permute,
  ZeroPadding2d,
  Cropping2d,
  UpSampling2d,
  type UpSampling2dOptions,
} from './shaping';
export { Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate } from './merge';
export {
  Activation,
  Softmax,
  LogSoftmax,
  ReLU,
  ReLU6,
  LeakyReLU,
  ELU,
  Sigmoid,
  Tanh,
  SiLU,
  Hardswish,
  Hardsigmoid,
  GELU,
  Softplus,
  Identity,
} from './activationLayers';
export type { Activation as ActivationOption } from './activations';
export type { DataFormat } from './options';
export type { Initializer, InitializerFunction, Fans } from './init';
export * as init from './init';
export * as functional from './functional';
export {
  CrossEntropyLoss,
  BCELoss,
  BCEWithLogitsLoss,
  MSELoss,
  L1Loss,
  HuberLoss,
  type CrossEntropyLossOptions,
  type LossModuleOptions,
} from './losses';
