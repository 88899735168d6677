export { Dataset, type BatchOptions, type DatasetSource, type MapOptions, type ShuffleOptions } from './dataset';
export type { Collated, CollatedMember, Scalars } from './collate';
export type { NdArray } from './structure';
export type { Random } from './random';
export { decodeImage, decodePixels, type DecodeOptions, type Pixels } from './decode';
export {
  imageFiles,
  ImageFiles,
  imageFolder,
  ImageFolder,
  type ImageFilesOptions,
  type ImageFolderOptions,
  type SkippedImage,
} from './imageFolder';
export type { ImageBatchOptions, ImageTensor, LabelOptions, LabelTensor } from './imageBatches';
export { ImageSet, type SubsetOptions } from './imageSet';
export { fashionMnist, mnist } from './mnist';
export { cifar10, cifar100, type Cifar100Options } from './cifar';
export {
  centerCrop,
  colorJitter,
  compose,
  cutout,
  normalize,
  randomAffine,
  randomCrop,
  randomFlip,
  randomRotation,
  randomShift,
  randomZoom,
  type AffineOptions,
  type ColorJitterOptions,
  type CropOptions,
  type CutoutOptions,
  type FillOptions,
  type Transform,
} from './transforms';
export { mixup, type MixupOptions } from './mixup';
export type { FillMode } from './warp';
