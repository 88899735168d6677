import './methods';

export { ConvgradError, type ErrorCode } from './errors';
export {
  Tensor,
  tensor,
  full,
  zeros,
  ones,
  scalar,
  type DType,
  type Shape,
  type NestedArray,
  type TypedArray,
  type TypedArrays,
} from './tensor';
export { tidy, keep, memory } from './memory';
export { noGrad, isGradEnabled, grad, valueAndGrad, type BackwardOptions } from './autograd';
export { gradCheck, type GradCheckOptions } from './gradcheck';
export { setDevice, deviceInfo, setThreads, synchronize, setMemoryLimit, trimMemory, resetPeakMemory } from './device';
export type { DeviceInfo, MemoryInfo, Reduction, ResizeCoordinates } from './native';
export {
  setSeed,
  Generator,
  defaultGenerator,
  randomUniform,
  randomNormal,
  truncatedNormal,
  bernoulli,
  randomInt,
  type RandomOptions,
  type NormalOptions,
} from './random';
export * from './ops';
export {
  encodeSafetensors,
  readSafetensors,
  SafetensorsFile,
  writeSafetensors,
  type NamedTensors,
  type SafetensorsContents,
  type SafetensorsEntry,
} from './formats';
export * as data from './data';
export { Dataset } from './data';
export * as nn from './nn';
export { input, Sequential } from './nn';
export * as optim from './optim';
export * as layers from './layers';
export * from './train';
