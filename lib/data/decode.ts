import { access } from 'node:fs/promises';
import type sharp from 'sharp' with { 'resolution-mode': 'import' };
import type { Sharp } from 'sharp' with { 'resolution-mode': 'import' };
import { ConvgradError } from '../errors';
import { tensor, type Tensor } from '../tensor';
import type { NdArray } from './structure';

/** An image as [height, width, channels], in RGB order. */
export type Pixels<A extends Uint8Array | Float32Array = Uint8Array | Float32Array> = NdArray<A>;

export interface DecodeOptions {
  /** Side of a square, or [height, width]. Default: the image's own size. */
  size?: number | readonly [height: number, width: number];
  /**
   * How an image of another aspect ratio gets to `size`: `'cover'` cuts off what protrudes, equally on both sides,
   * `'contain'` leaves bars of the background, `'fill'` (default) distorts.
   */
  fit?: 'cover' | 'contain' | 'fill';
  /** Interpolation; it averages when it shrinks. Default `'linear'`. */
  kernel?: 'nearest' | 'linear' | 'cubic' | 'mitchell' | 'lanczos2' | 'lanczos3';
  /** 1 is grey, 3 (default) is RGB, 4 is RGBA. Images are converted; transparency is dropped, as Keras and PyTorch do. */
  channels?: 1 | 3 | 4;
  /** RGB of the bars of `'contain'`. Default black. */
  background?: readonly [red: number, green: number, blue: number];
  /** Images of more pixels are refused before they are decoded. Default 100 million. */
  maxPixels?: number;
}

let loading: Promise<typeof sharp> | undefined;

/**
 * Decodes a JPEG, PNG, WebP, GIF (its first frame), AVIF or TIFF file, turned upright as its EXIF data say, on a thread of
 * its own.
 * @param source a path, or the contents of a file
 * @returns bytes in the order height, width, channel
 * @throws ERR_FORMAT naming the file when it is no image, is truncated, or has too many pixels
 */
export async function decodePixels(
  source: string | Uint8Array,
  options: DecodeOptions = {},
): Promise<Pixels<Uint8Array>> {
  const { channels = 3, maxPixels = 100e6 } = options;
  const size = options.size === undefined ? undefined : checkedSize(options.size);
  if (![1, 3, 4].includes(channels)) {
    throw new ConvgradError('ERR_VALUE', `decodeImage: channels must be 1, 3 or 4, got ${channels}`);
  }
  checkOneOf(options.fit, ['cover', 'contain', 'fill'], 'fit');
  checkOneOf(options.kernel, ['nearest', 'linear', 'cubic', 'mitchell', 'lanczos2', 'lanczos3'], 'kernel');
  const open = await loadSharp();
  try {
    // Warnings, such as of stray bytes that every viewer ignores, are no reason to refuse a photo.
    const image = open(source, { limitInputPixels: maxPixels, failOn: 'error', autoOrient: true });
    const { data, info } = await convert(resize(image, size, options), channels)
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.length);
    return { data: bytes, shape: [info.height, info.width, info.channels] };
  } catch (error) {
    if (typeof source === 'string') await access(source);
    const name = typeof source === 'string' ? source : 'image buffer';
    throw new ConvgradError('ERR_FORMAT', `${name} cannot be decoded: ${reasonOf(error)}`, { cause: error });
  }
}

/** Like `decodePixels`, as a tensor [height, width, channels]. */
export async function decodeImage(source: string | Uint8Array, options: DecodeOptions = {}): Promise<Tensor<'uint8'>> {
  const { data, shape } = await decodePixels(source, options);
  return tensor(data, shape);
}

/** [height, width] of a size option. Throws ERR_VALUE. */
export function checkedSize(size: number | readonly [number, number]): readonly [number, number] {
  const pair = typeof size === 'number' ? ([size, size] as const) : size;
  if (Array.isArray(pair) && pair.length === 2 && pair.every((side) => Number.isSafeInteger(side) && side > 0)) {
    return pair;
  }
  throw new ConvgradError('ERR_VALUE', `size must be a side or [height, width] in pixels, got ${JSON.stringify(size)}`);
}

function checkOneOf(value: string | undefined, allowed: readonly string[], option: string): void {
  if (value === undefined || allowed.includes(value)) return;
  throw new ConvgradError('ERR_VALUE', `decodeImage: ${option} must be '${allowed.join("', '")}', got '${value}'`);
}

function resize(image: Sharp, size: readonly [number, number] | undefined, options: DecodeOptions): Sharp {
  if (size === undefined) return image;
  const [height, width] = size;
  const { fit = 'fill', kernel = 'linear', background: [r, g, b] = [0, 0, 0] } = options;
  return image.resize({ height, width, fit, kernel, background: { r, g, b } });
}

function convert(image: Sharp, channels: 1 | 3 | 4): Sharp {
  if (channels === 4) return image.toColourspace('srgb').ensureAlpha();
  if (channels === 3) return image.toColourspace('srgb').removeAlpha();
  return image.greyscale().toColourspace('b-w').removeAlpha();
}

/** libvips reports all that went wrong, a line each, often with the path in front. */
function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).trim().split('\n')[0]!;
}

/** On first use: it loads a library of 17 MB. */
function loadSharp(): Promise<typeof sharp> {
  const explain = (error: Error) => {
    const message = `images are decoded by the package sharp, which cannot be loaded: ${error.message}`;
    throw new ConvgradError('ERR_STATE', message, { cause: error });
  };
  return (loading ??= import('sharp').then((module) => module.default, explain));
}
