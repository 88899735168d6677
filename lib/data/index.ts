export { Dataset, type BatchOptions, type DatasetSource, type MapOptions, type ShuffleOptions } from './dataset';
export type { Collated, CollatedMember, Scalars } from './collate';
export type { NdArray } from './structure';
