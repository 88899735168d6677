import type { DType, TypedArray } from './native';

const EDGE = 3; // items shown at each end of a long axis
const THRESHOLD = 1000; // elements up to which everything is shown

/**
 * A tensor's text, in the manner of PyTorch:
 *
 *     tensor([[1.0000, 2.5000],
 *             [0.0000, nan]], shape=[2, 2], dtype=float32)
 */
export function format(values: TypedArray, shape: readonly number[], dtype: DType): string {
  const abbreviate = values.length > THRESHOLD;
  const shown = visible(shape, abbreviate).map((index) => values[index]!);
  const write = dtype === 'float32' ? floatFormat(shown) : String;
  const width = Math.max(0, ...shown.map((value) => write(value).length));
  const prefix = 'tensor(';

  const block = (axis: number, offset: number, indent: number): string => {
    if (axis === shape.length) return write(values[offset]!).padStart(width);
    const dim = shape[axis]!;
    const stride = shape.slice(axis + 1).reduce((size, next) => size * next, 1);
    const parts = kept(dim, abbreviate).map((i) => (i < 0 ? '...' : block(axis + 1, offset + i * stride, indent + 1)));
    const last = axis === shape.length - 1;
    const separator = last ? ', ' : `,${'\n'.repeat(shape.length - 1 - axis)}${' '.repeat(indent + 1)}`;
    return `[${parts.join(separator)}]`;
  };

  return `${prefix}${block(0, 0, prefix.length)}, shape=[${shape.join(', ')}], dtype=${dtype})`;
}

/** The indices shown along an axis; -1 stands for the gap. */
function kept(dim: number, abbreviate: boolean): number[] {
  const all = Array.from({ length: dim }, (_, i) => i);
  return abbreviate && dim > 2 * EDGE ? [...all.slice(0, EDGE), -1, ...all.slice(-EDGE)] : all;
}

/** Flat indices of the elements shown. */
function visible(shape: readonly number[], abbreviate: boolean): number[] {
  let indices = [0];
  for (const dim of shape) {
    const along = kept(dim, abbreviate).filter((i) => i >= 0);
    indices = indices.flatMap((index) => along.map((i) => index * dim + i));
  }
  return indices;
}

/** Fixed point with four decimals where that shows the numbers, else scientific. */
function floatFormat(values: number[]): (value: number) => string {
  const finite = values.filter((value) => Number.isFinite(value) && value !== 0).map(Math.abs);
  const integers = finite.every((value) => Number.isInteger(value) && value < 1e7);
  const scientific = finite.length > 0 && (Math.max(...finite) >= 1e8 || Math.max(...finite) < 1e-4);
  return (value) => {
    if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
    if (integers) return `${value}.`;
    return scientific ? value.toExponential(4) : value.toFixed(4);
  };
}
