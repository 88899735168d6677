export { Parameter, Buffer } from './parameter';
export { Module, type ForwardHook } from './module';
export { ModuleList } from './containers';
export { Sequential, type SequentialItem } from './sequential';
export { registerModule, toConfig, fromConfig, type ModuleConfig } from './registry';
export { SymbolicTensor, type OneOrMany } from './symbolic';
export type { StateDict, LoadReport } from './state';
export type { SummaryOptions } from './summary';
