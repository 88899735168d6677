export type { Callback, Logs, TrainingRun } from '../callback';
export { CSVLogger, type CSVLoggerOptions } from './csvLogger';
export { EarlyStopping, type EarlyStoppingOptions } from './earlyStopping';
export { LambdaCallback } from './lambdaCallback';
export { LearningRateScheduler, ReduceLROnPlateau, type ReduceLROnPlateauOptions } from './learningRate';
export { ModelCheckpoint, type ModelCheckpointOptions } from './modelCheckpoint';
export type { MonitorOptions } from './monitor';
export { TensorBoard, type TensorBoardOptions } from './tensorBoard';
export { TerminateOnNaN } from './terminateOnNaN';
