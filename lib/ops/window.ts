import { ConvgradError } from '../errors';

/** One number for both axes, or [vertical, horizontal]. */
export type Pair = number | readonly [number, number];

/**
 * `'valid'`: none. `'same'`: as much as makes ceil(input / stride) windows, the odd pixel at the bottom and on the right
 * (TensorFlow's rule). Else pixels: on all sides, [vertical, horizontal], or [[top, bottom], [left, right]].
 */
export type Padding2d =
  | 'valid'
  | 'same'
  | number
  | readonly [number, number]
  | readonly [readonly [number, number], readonly [number, number]];

/** @internal [vertical, horizontal] */
export function pairOf(op: string, name: string, value: Pair): readonly [number, number] {
  if (typeof value === 'number') return [value, value];
  if (isPair(value)) return value;
  throw new ConvgradError('ERR_VALUE', `${op}: ${name} must be a number or [vertical, horizontal], got ${show(value)}`);
}

/** @internal [top, bottom, left, right]; empty for 'same', which depends on the input's size. */
export function paddingOf(op: string, padding: Padding2d): readonly number[] {
  if (padding === 'same') return [];
  if (padding === 'valid') return [0, 0, 0, 0];
  if (typeof padding === 'number') return [padding, padding, padding, padding];
  if (Array.isArray(padding) && padding.length === 2) {
    const [vertical, horizontal] = padding as readonly unknown[];
    if (isPair(padding)) return [padding[0], padding[0], padding[1], padding[1]];
    if (isPair(vertical) && isPair(horizontal)) return [...vertical, ...horizontal];
  }
  throw new ConvgradError(
    'ERR_VALUE',
    `${op}: padding must be 'valid', 'same', a number, [vertical, horizontal] or [[top, bottom], [left, right]], got ${show(padding)}`,
  );
}

function isPair(value: unknown): value is readonly [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every((item) => typeof item === 'number');
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}
