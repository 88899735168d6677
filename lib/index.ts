// What is public. Everything else may change without notice.
import './methods';

// Tensors, gradients, random numbers, the device
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
export { capture, Plan } from './capture';
export { gradCheck, type GradCheckOptions } from './gradcheck';
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
export { setDevice, deviceInfo, setThreads, synchronize, setMemoryLimit, trimMemory, resetPeakMemory } from './device';
export { setPrecision, getPrecision } from './precision';
export type { DeviceInfo, MemoryInfo, Precision, Reduction, ResizeCoordinates } from './native';
export { ConvgradError, type ErrorCode } from './errors';

// Functions of tensors
export * from './ops';

// Networks: PyTorch's face, and Keras's
export * as nn from './nn';
export * as layers from './layers';
export { input, Sequential } from './nn';

// Training
export * from './train';
export * as optim from './optim';

// Data and files
export * as data from './data';
export { Dataset } from './data';
export * as formats from './formats';
