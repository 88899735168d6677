import { ConvgradError } from '../errors';
import { transpose, type Padding2d, type Pair } from '../ops';
import type { Shape, Tensor } from '../tensor';
import { tuple } from './print';

/** Where an image's channels are: `channels_last` is [N, H, W, C] and what everything else here uses. */
export type DataFormat = 'channels_last' | 'channels_first' | 'channelsLast' | 'channelsFirst';

/** The channels of an input shape (without batch). */
export function channelsOf(layer: string, shape: Shape, format: DataFormat = 'channels_last'): number {
  const channels = isChannelsFirst(format) ? shape[0] : shape.at(-1);
  if (channels !== undefined) return channels;
  throw new ConvgradError('ERR_SHAPE', `${layer}: wants an input with channels, got inputs of shape []`);
}

/** Runs `compute` on [N, H, W, C], whatever the format of x is. Its result goes back to that format if it is an image. */
export function channelsLast(format: DataFormat, x: Tensor, compute: (x: Tensor) => Tensor): Tensor {
  if (!isChannelsFirst(format)) return compute(x);
  if (x.rank !== 4) {
    throw new ConvgradError('ERR_SHAPE', `x must be [N, C, H, W], got [${x.shape.join(', ')}]`);
  }
  const y = compute(transpose(x, [0, 2, 3, 1]));
  return y.rank === 4 ? transpose(y, [0, 3, 1, 2]) : y;
}

/** @throws ERR_VALUE for what is no format */
export function isChannelsFirst(format: DataFormat): boolean {
  if (format === 'channels_first' || format === 'channelsFirst') return true;
  if (format === 'channels_last' || format === 'channelsLast') return false;
  throw new ConvgradError('ERR_VALUE', `dataFormat must be 'channels_last' or 'channels_first', got ${show(format)}`);
}

/** @throws ERR_VALUE unless `value` is a positive integer */
export function positive(layer: string, name: string, value: unknown): number {
  if (Number.isInteger(value) && (value as number) > 0) return value as number;
  throw new ConvgradError('ERR_VALUE', `${layer}: ${name} must be a positive integer, got ${show(value)}`);
}

/** @throws ERR_VALUE unless `value` is a positive integer or two of them */
export function pairOf(layer: string, name: string, value: Pair): readonly [number, number] {
  const pair: readonly unknown[] = Array.isArray(value) ? value : [value, value];
  if (pair.length === 2 && pair.every((item) => Number.isInteger(item) && (item as number) > 0)) {
    return pair as readonly [number, number];
  }
  throw new ConvgradError(
    'ERR_VALUE',
    `${layer}: ${name} must be a positive integer or [vertical, horizontal], got ${show(value)}`,
  );
}

/** Pixels at [[top, bottom], [left, right]], from one number, [vertical, horizontal], or all four. */
export function sidesOf(layer: string, name: string, value: Padding2d): [[number, number], [number, number]] {
  const sides: readonly unknown[] = Array.isArray(value) ? value : [value, value];
  const both = sides.map((side): readonly unknown[] => (Array.isArray(side) ? side : [side, side]));
  const isSide = (side: readonly unknown[]): boolean =>
    side.length === 2 && side.every((pixels) => Number.isInteger(pixels) && (pixels as number) >= 0);
  if (both.length === 2 && both.every(isSide)) return both as [[number, number], [number, number]];
  throw new ConvgradError(
    'ERR_VALUE',
    `${layer}: ${name} must be a number, [vertical, horizontal] or [[top, bottom], [left, right]], got ${show(value)}`,
  );
}

export function show(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}

/** `(3, 3)`, as PyTorch shows sizes. */
export function pairText(value: Pair): string {
  return typeof value === 'number' ? tuple([value, value]) : tuple(value);
}

/** `(1, 1)`, `same`, or nothing where there is no padding. */
export function paddingText(padding: Padding2d): string | null {
  if (padding === 'valid') return null;
  if (typeof padding === 'string') return padding;
  const [[top, bottom], [left, right]] = sidesOf('', 'padding', padding);
  if (top + bottom + left + right === 0) return null;
  if (top === bottom && left === right) return tuple([top, left]);
  return tuple([tuple([top, bottom]), tuple([left, right])]);
}
