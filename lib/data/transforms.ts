/**
 * Augmentation of single images, before they are batched. Every transform takes bytes (0 … 255) or floats (0 … 1) and
 * gives the same, never changes its argument, and draws only from the numbers it is given, so that a seed repeats it.
 */
import { ConvgradError } from '../errors';
import { checkedSize, type Pixels } from './decode';
import type { Random } from './random';
import { beyondEdge, copyOf, like, warpAffine, type Affine, type FillMode } from './warp';

export type Transform = (image: Pixels, random: Random) => Pixels;

export interface FillOptions {
  /** What lies beyond the edges. Default `'constant'`. */
  fillMode?: FillMode;
  /** For `'constant'`, in the image's own units. Default 0, black. */
  fillValue?: number;
}

/** One transform after the other. */
export function compose(...transforms: readonly Transform[]): Transform {
  return (image, random) => transforms.reduce((result, transform) => transform(result, random), image);
}

/** Mirrors left and right, or top and bottom, or (`'both'`) each of them on its own, with the probability given. */
export function randomFlip(axis: 'horizontal' | 'vertical' | 'both' = 'horizontal', probability = 0.5): Transform {
  checkOneOf(axis, ['horizontal', 'vertical', 'both'], 'randomFlip: axis');
  checkFraction(probability, 'randomFlip: probability');
  return (image, random) => {
    const mirrorX = axis !== 'vertical' && random() < probability;
    const mirrorY = axis !== 'horizontal' && random() < probability;
    if (!mirrorX && !mirrorY) return image;
    const along = (size: number, mirror: boolean) =>
      Int32Array.from({ length: size }, (_, i) => (mirror ? size - 1 - i : i));
    return rearranged(image, along(image.shape[0]!, mirrorY), along(image.shape[1]!, mirrorX));
  };
}

export interface AffineOptions extends FillOptions {
  /** Turns by up to so many degrees, in both directions. Default 0. */
  rotate?: number;
  /** Moves by up to this fraction of the height and of the width, in all directions. Default 0. */
  shift?: number | readonly [vertical: number, horizontal: number];
  /** Magnifies by a factor from 1 - zoom to 1 + zoom, or from the range given. Default 0. */
  zoom?: number | readonly [least: number, most: number];
}

/** Rotation, zoom and shift about the centre, in one bilinear warp; the image keeps its size. */
export function randomAffine({ rotate = 0, shift = 0, zoom = 0, fillMode, fillValue }: AffineOptions): Transform {
  checkAtLeast(rotate, 0, 'randomAffine: rotate');
  const [vertical, horizontal] = typeof shift === 'number' ? [shift, shift] : shift;
  checkAtLeast(vertical, 0, 'randomAffine: shift');
  checkAtLeast(horizontal, 0, 'randomAffine: shift');
  const [least, most] = typeof zoom === 'number' ? [1 - zoom, 1 + zoom] : zoom;
  if (!(least > 0 && most >= least)) {
    const given = JSON.stringify(zoom);
    throw new ConvgradError('ERR_VALUE', `randomAffine: zoom must be a fraction below 1 or a range, got ${given}`);
  }
  const fill = checkedFill({ fillMode, fillValue }, 'randomAffine');
  return (image, random) => {
    const [height, width] = image.shape as [number, number, number];
    const angle = (between(random, -rotate, rotate) * Math.PI) / 180;
    const factor = between(random, least, most);
    const moveY = between(random, -vertical, vertical) * height;
    const moveX = between(random, -horizontal, horizontal) * width;
    const matrix = aboutCentre(height, width, angle, factor, moveY, moveX);
    return warpAffine(image, matrix, fill.fillMode, fill.fillValue);
  };
}

/** Turns by up to `degrees` in both directions. */
export const randomRotation = (degrees: number, fill: FillOptions = {}): Transform =>
  randomAffine({ rotate: degrees, ...fill });

/** Moves by up to a fraction of the height and of the width in all directions. */
export const randomShift = (shift: number | readonly [number, number], fill: FillOptions = {}): Transform =>
  randomAffine({ shift, ...fill });

/** Magnifies by a factor from 1 - zoom to 1 + zoom, or from the range given. */
export const randomZoom = (zoom: number | readonly [number, number], fill: FillOptions = {}): Transform =>
  randomAffine({ zoom, ...fill });

export interface CropOptions extends FillOptions {
  /** Side of a square, or [height, width]. */
  size: number | readonly [height: number, width: number];
  /** Pixels added on every side before the crop. Default 0. */
  padding?: number;
}

/** A part of the image, from a random place. Throws ERR_SHAPE for an image that is smaller. */
export function randomCrop({ size, padding = 0, fillMode, fillValue }: CropOptions): Transform {
  const wanted = checkedSize(size);
  checkAtLeast(padding, 0, 'randomCrop: padding');
  const fill = checkedFill({ fillMode, fillValue }, 'randomCrop');
  return (image, random) => {
    const [spareY, spareX] = spare(image, wanted, padding, 'randomCrop');
    const top = Math.floor(random() * (spareY + 1)) - padding;
    const left = Math.floor(random() * (spareX + 1)) - padding;
    return cropped(image, wanted, top, left, fill);
  };
}

/** The middle of the image. Throws ERR_SHAPE for an image that is smaller. */
export function centerCrop(size: number | readonly [height: number, width: number]): Transform {
  const wanted = checkedSize(size);
  return (image) => {
    const [spareY, spareX] = spare(image, wanted, 0, 'centerCrop');
    return cropped(image, wanted, spareY >> 1, spareX >> 1, { fillMode: 'constant', fillValue: 0 });
  };
}

export interface ColorJitterOptions {
  /** Each: multiplies by a factor from 1 - x to 1 + x. Default 0. */
  brightness?: number;
  contrast?: number;
  saturation?: number;
  /** Turns colours around the axis of greys by up to this fraction of a circle, in both directions. Default 0. */
  hue?: number;
}

/** Changes brightness, contrast, saturation and hue, in that order. Grey images have only the first two, alpha stays. */
export function colorJitter({ brightness = 0, contrast = 0, saturation = 0, hue = 0 }: ColorJitterOptions): Transform {
  for (const [name, value] of Object.entries({ brightness, contrast, saturation, hue })) {
    checkAtLeast(value, 0, `colorJitter: ${name}`);
  }
  const factor = (random: Random, by: number) => Math.max(0, between(random, 1 - by, 1 + by));
  return (image, random) => {
    const [bright, contrasted] = [factor(random, brightness), factor(random, contrast)];
    const [saturated, turn] = [factor(random, saturation), between(random, -hue, hue)];
    const scale = bright * contrasted;
    // Contrast stretches around the mean grey.
    const offset = contrasted === 1 ? 0 : (1 - contrasted) * bright * meanGrey(image);
    const mixing = (image.shape[2] ?? 1) < 3 ? identity : multiply(hueRotation(turn), saturationMix(saturated));
    return recoloured(
      image,
      mixing.map((weight) => weight * scale),
      offset,
    );
  };
}

export interface CutoutOptions {
  /** Side of the square, or [height, width], in pixels. */
  size: number | readonly [height: number, width: number];
  /** Default 1. */
  probability?: number;
  /** In the image's own units. Default 0, black. */
  fillValue?: number;
}

/** Blots out a rectangle around a random pixel; what protrudes from the image is lost. */
export function cutout({ size, probability = 1, fillValue = 0 }: CutoutOptions): Transform {
  const [rows, columns] = checkedSize(size);
  checkFraction(probability, 'cutout: probability');
  return (image, random) => {
    if (random() >= probability) return image;
    const [height, width, channels] = image.shape as [number, number, number];
    const top = Math.floor(random() * height) - (rows >> 1);
    const left = Math.floor(random() * width) - (columns >> 1);
    const data = copyOf(image);
    const [begin, end] = [Math.max(0, left), Math.min(width, left + columns)];
    for (let y = Math.max(0, top); y < Math.min(height, top + rows); ++y) {
      data.fill(fillValue, (y * width + begin) * channels, (y * width + end) * channels);
    }
    return { data, shape: image.shape };
  };
}

/**
 * Floats (x - mean) / std, a channel each; bytes are divided by 255 first. Put it last.
 * @param mean one for each channel, in units of 0 … 1, such as ImageNet's [0.485, 0.456, 0.406]
 * @param std likewise: [0.229, 0.224, 0.225]
 */
export function normalize(mean: readonly number[], std: readonly number[]): Transform {
  if (mean.length !== std.length || !std.every((value) => value > 0)) {
    throw new ConvgradError(
      'ERR_VALUE',
      `normalize: std must be ${mean.length} positive numbers, got [${std.join(', ')}]`,
    );
  }
  return (image) => {
    const channels = image.shape[2]!;
    if (channels !== mean.length) {
      throw new ConvgradError('ERR_SHAPE', `normalize: the image has ${channels} channels, mean has ${mean.length}`);
    }
    const unit = image.data instanceof Uint8Array ? 255 : 1;
    const source = image.data;
    const data = new Float32Array(source.length);
    for (let channel = 0; channel < channels; ++channel) {
      const scale = 1 / (unit * std[channel]!);
      const offset = mean[channel]! / std[channel]!;
      for (let i = channel; i < data.length; i += channels) data[i] = source[i]! * scale - offset;
    }
    return { data, shape: image.shape };
  };
}

/** From the pixels of the result to those of the image: undo the shift, the rotation and the zoom, about the centre. */
function aboutCentre(
  height: number,
  width: number,
  angle: number,
  factor: number,
  moveY: number,
  moveX: number,
): Affine {
  const [centreX, centreY] = [(width - 1) / 2, (height - 1) / 2];
  const [cos, sin] = [Math.cos(angle) / factor, Math.sin(angle) / factor];
  const [x, y] = [centreX + moveX, centreY + moveY];
  return [cos, sin, centreX - cos * x - sin * y, -sin, cos, centreY + sin * x - cos * y];
}

function cropped(
  image: Pixels,
  size: readonly [number, number],
  top: number,
  left: number,
  { fillMode, fillValue }: Required<FillOptions>,
): Pixels {
  const along = (begin: number, count: number, size: number) =>
    Int32Array.from({ length: count }, (_, i) => beyondEdge[fillMode](begin + i, size));
  const [rows, columns] = [along(top, size[0], image.shape[0]!), along(left, size[1], image.shape[1]!)];
  return rearranged(image, rows, columns, fillValue);
}

/** How many pixels an image has more than a crop of it. */
function spare(image: Pixels, [height, width]: readonly [number, number], padding: number, what: string) {
  const [spareY, spareX] = [image.shape[0]! + 2 * padding - height, image.shape[1]! + 2 * padding - width];
  if (spareY >= 0 && spareX >= 0) return [spareY, spareX] as const;
  const has = `the image has ${image.shape[0]}×${image.shape[1]} pixels`;
  throw new ConvgradError(
    'ERR_SHAPE',
    `${what}: ${has}${padding ? ` and ${padding} of padding` : ''}, the crop wants ${height}×${width}`,
  );
}

/** The image whose pixel (y, x) is the pixel (rows[y], columns[x]) of this one, or the fill value where one is negative. */
function rearranged(image: Pixels, rows: Int32Array, columns: Int32Array, fillValue = 0): Pixels {
  const width = image.shape[1]!;
  const channels = image.shape[2]!;
  const result = like(image, [rows.length, columns.length, channels]);
  const source = image.data;
  const target = result.data;
  let at = 0;
  for (let y = 0; y < rows.length; ++y) {
    const row = rows[y]! * width;
    for (let x = 0; x < columns.length; ++x) {
      const column = columns[x]!;
      const begin = row < 0 || column < 0 ? -1 : (row + column) * channels;
      for (let channel = 0; channel < channels; ++channel) {
        target[at++] = begin < 0 ? fillValue : source[begin + channel]!;
      }
    }
  }
  return result;
}

/** A 3×3 matrix, row by row. */
type Matrix3 = readonly number[];
type Nine = [number, number, number, number, number, number, number, number, number];
const identity: Matrix3 = [1, 0, 0, 0, 1, 0, 0, 0, 1];
/** How bright the eye sees red, green and blue (Rec. 601). */
const luma = [0.299, 0.587, 0.114] as const;

/** Mixes each colour with its grey. */
function saturationMix(factor: number): Matrix3 {
  return identity.map((weight, i) => weight * factor + luma[i % 3]! * (1 - factor));
}

/** Rotates by a fraction of a circle around the axis of greys (Rodrigues' formula). */
function hueRotation(turn: number): Matrix3 {
  const [cos, sin] = [Math.cos(2 * Math.PI * turn), Math.sin(2 * Math.PI * turn)];
  const [same, next, last] = [
    cos + (1 - cos) / 3,
    (1 - cos) / 3 - sin / Math.sqrt(3),
    (1 - cos) / 3 + sin / Math.sqrt(3),
  ];
  return [same, next, last, last, same, next, next, last, same];
}

function multiply(a: Matrix3, b: Matrix3): Matrix3 {
  return identity.map((_, i) => [0, 1, 2].reduce((sum, k) => sum + a[i - (i % 3) + k]! * b[k * 3 + (i % 3)]!, 0));
}

function meanGrey({ data, shape }: Pixels): number {
  const channels = shape[2]!;
  let sum = 0;
  for (let i = 0; i < data.length; i += channels) {
    sum += channels < 3 ? data[i]! : luma[0] * data[i]! + luma[1] * data[i + 1]! + luma[2] * data[i + 2]!;
  }
  return sum / (data.length / channels);
}

/** Every colour times the matrix plus the offset, limited to the image's range. */
function recoloured(image: Pixels, matrix: Matrix3, offset: number): Pixels {
  const [rr, rg, rb, gr, gg, gb, br, bg, bb] = matrix as Nine;
  const channels = image.shape[2]!;
  const data = copyOf(image);
  const most = data instanceof Uint8Array ? 255 : 1;
  // Bytes are stored by truncation.
  const rounding = data instanceof Uint8Array ? 0.5 : 0;
  const limited = (value: number) => (value < 0 ? 0 : value > most ? most : value) + rounding;
  for (let i = 0; i < data.length; i += channels) {
    const r = data[i]!;
    if (channels < 3) {
      data[i] = limited(rr * r + offset);
      continue;
    }
    const g = data[i + 1]!;
    const b = data[i + 2]!;
    data[i] = limited(rr * r + rg * g + rb * b + offset);
    data[i + 1] = limited(gr * r + gg * g + gb * b + offset);
    data[i + 2] = limited(br * r + bg * g + bb * b + offset);
  }
  return { data, shape: image.shape };
}

function between(random: Random, low: number, high: number): number {
  return low + (high - low) * random();
}

function checkedFill({ fillMode = 'constant', fillValue = 0 }: FillOptions, what: string): Required<FillOptions> {
  checkOneOf(fillMode, Object.keys(beyondEdge), `${what}: fillMode`);
  return { fillMode, fillValue };
}

function checkOneOf(value: string, allowed: readonly string[], what: string): void {
  if (allowed.includes(value)) return;
  throw new ConvgradError('ERR_VALUE', `${what} must be '${allowed.join("', '")}', got '${value}'`);
}

function checkFraction(value: number, what: string): void {
  if (!(value >= 0 && value <= 1)) throw new ConvgradError('ERR_VALUE', `${what} must be from 0 to 1, got ${value}`);
}

function checkAtLeast(value: number, least: number, what: string): void {
  if (!(value >= least)) throw new ConvgradError('ERR_VALUE', `${what} must be at least ${least}, got ${value}`);
}
