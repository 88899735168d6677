export { Optimizer, type Group, type ParameterGroup, type Parameters } from './optimizer';
export { SGD, type SGDOptions } from './sgd';
export { Adam, AdamW, type AdamOptions } from './adam';
export { RMSprop, type RMSpropOptions } from './rmsprop';
export { clipGradNorm, clipGradValue } from './clip';
export {
  Schedule,
  StepLR,
  ExponentialLR,
  CosineAnnealingLR,
  WarmupLR,
  OneCycleLR,
  ReduceLROnPlateau,
  type OneCycleOptions,
  type PlateauOptions,
  type Scheduled,
  type ScheduleState,
  type WarmupOptions,
} from './schedules';
