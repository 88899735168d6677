import { differentiable } from '../autograd';
import { ConvgradError } from '../errors';
import { tidy } from '../memory';
import { native, type DType, type Handle } from '../native';
import { markFailedView, markView } from '../provenance';
import { sizeOf, Tensor, type Shape } from '../tensor';
import { broadcastTo } from './broadcast';

export { broadcastTo } from './broadcast';

/** An op that only moves the elements of x. */
function moved<D extends DType>(name: string, y: Handle, x: Tensor<D>, gradient: (dy: Handle) => Handle): Tensor<D> {
  const output = new Tensor<D>(y);
  differentiable(name, output as Tensor<DType> as Tensor, { x }, {}, (dy) => ({
    x: () => new Tensor(gradient(dy.handle)),
  }));
  return output;
}

/** A negative axis counts from the end. `rank` may be one more than the tensor's, where an axis is inserted. */
function resolveAxis(op: string, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new ConvgradError('ERR_VALUE', `${op}: axis must be an integer in [${-rank}, ${rank - 1}], got ${axis}`);
  }
  return axis < 0 ? axis + rank : axis;
}

/**
 * The same elements, in order, under another shape; shares the memory. One dimension may be -1: what is left.
 * @throws ERR_SHAPE when the number of elements differs
 */
export function reshape<D extends DType>(x: Tensor<D>, shape: Shape): Tensor<D> {
  const from = x.shape;
  try {
    const y = moved('reshape', native.reshape(x.handle, inferDimension(x, shape)), x, (dy) => native.reshape(dy, from));
    markView(y, x);
    return y;
  } catch (error) {
    throw markFailedView(error, x, shape);
  }
}

/** PyTorch's name for `reshape`. */
export const view = reshape;

function inferDimension(x: Tensor<DType>, shape: Shape): Shape {
  const unknown = shape.indexOf(-1);
  if (unknown < 0) return shape;
  const known = sizeOf(shape.filter((_, axis) => axis !== unknown));
  if (!(known > 0) || x.size % known !== 0) {
    throw new ConvgradError(
      'ERR_SHAPE',
      `reshape: the ${x.size} elements of [${x.shape.join(', ')}] do not fill [${shape.join(', ')}]`,
    );
  }
  return shape.map((dim, axis) => (axis === unknown ? x.size / known : dim));
}

/** Merges all axes from `startAxis` on into one; the first one stays by default, which is the batch. */
export function flatten<D extends DType>(x: Tensor<D>, startAxis = 1): Tensor<D> {
  const first = resolveAxis('flatten', startAxis, Math.max(x.rank, 1));
  return reshape(x, [...x.shape.slice(0, first), sizeOf(x.shape.slice(first))]);
}

/** Removes axes of size 1: all of them, or those named. */
export function squeeze<D extends DType>(x: Tensor<D>, axes?: number | readonly number[]): Tensor<D> {
  if (axes === undefined)
    return reshape(
      x,
      x.shape.filter((dim) => dim !== 1),
    );
  const named = [axes].flat().map((axis) => resolveAxis('squeeze', axis as number, x.rank));
  for (const axis of named) {
    if (x.shape[axis] !== 1) {
      throw new ConvgradError(
        'ERR_SHAPE',
        `squeeze: axis ${axis} of [${x.shape.join(', ')}] has size ${x.shape[axis]}, wanted 1`,
      );
    }
  }
  return reshape(
    x,
    x.shape.filter((_, axis) => !named.includes(axis)),
  );
}

/** Inserts an axis of size 1. */
export function expandDims<D extends DType>(x: Tensor<D>, axis: number): Tensor<D> {
  const at = resolveAxis('expandDims', axis, x.rank + 1);
  return reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
}

/** Permutes the axes: axis i of the result is axis permutation[i] of x. Default: reversed. */
export function transpose<D extends DType>(x: Tensor<D>, permutation?: readonly number[]): Tensor<D> {
  const axes = permutation ?? [...x.shape.keys()].reverse();
  return moved('transpose', native.transpose(x.handle, axes), x, (dy) => {
    const inverse: number[] = [];
    axes.forEach((axis, i) => (inverse[axis < 0 ? axis + axes.length : axis] = i));
    return native.transpose(dy, inverse);
  });
}

/**
 * A box of x: along each axis, `size` elements from `begin` on, in steps of `strides`.
 * Axes that the lists do not reach are taken whole. A negative `begin` counts from the end; a size of -1 means all that
 * follow.
 * @throws ERR_VALUE when the box does not lie within x
 */
export function slice<D extends DType>(
  x: Tensor<D>,
  begin: readonly number[],
  size: readonly number[] = [],
  strides: readonly number[] = [],
): Tensor<D> {
  const from = x.shape;
  if (begin.length > from.length || size.length > from.length || strides.length > from.length) {
    throw new ConvgradError(
      'ERR_VALUE',
      `slice: begin, size and strides have at most ${from.length} entries for [${from.join(', ')}], got ${begin.length}, ${size.length} and ${strides.length}`,
    );
  }
  const steps = from.map((_, axis) => strides[axis] ?? 1);
  const starts = from.map((dim, axis) => {
    const start = begin[axis] ?? 0;
    return start < 0 ? start + dim : start;
  });
  const sizes = from.map((dim, axis) => {
    const wanted = size[axis] ?? -1;
    const [start, step] = [starts[axis]!, steps[axis]!];
    return wanted === -1 ? Math.ceil(step > 0 ? (dim - start) / step : (start + 1) / -step) : wanted;
  });
  return moved('slice', native.slice(x.handle, starts, sizes, steps), x, (dy) =>
    native.sliceBackward(dy, from, starts, steps),
  );
}

/** Reverses the order of the elements along the axes. */
export function flip<D extends DType>(x: Tensor<D>, axes: number | readonly number[]): Tensor<D> {
  const named = [axes].flat().map((axis) => resolveAxis('flip', axis as number, x.rank));
  const flipped = (forward: number, backward: (dim: number) => number) =>
    x.shape.map((dim, axis) => (named.includes(axis) ? backward(dim) : forward));
  return slice(
    x,
    flipped(0, (dim) => dim - 1),
    [],
    flipped(1, () => -1),
  );
}

/** Surrounds x with a constant: `paddings[axis] = [before, after]`. */
export function pad<D extends DType>(
  x: Tensor<D>,
  paddings: readonly (readonly [before: number, after: number])[],
  value = 0,
): Tensor<D> {
  const before = paddings.map((pair) => pair[0]);
  const after = paddings.map((pair) => pair[1]);
  const from = x.shape;
  return moved('pad', native.pad(x.handle, before, after, value), x, (dy) =>
    native.slice(
      dy,
      before,
      from,
      from.map(() => 1),
    ),
  );
}

/** Joins tensors along an axis; the other axes must agree. */
export function concat<D extends DType>(xs: readonly Tensor<D>[], axis = 0): Tensor<D> {
  const y = new Tensor<D>(
    native.concat(
      xs.map((x) => x.handle),
      axis,
    ),
  );
  const along = resolveAxis('concat', axis, y.rank);
  let end = 0;
  const places = xs.map((x) => {
    const begin = x.shape.map((_, i) => (i === along ? end : 0));
    end += x.shape[along]!;
    return { begin, size: x.shape };
  });
  differentiable('concat', y as Tensor<DType> as Tensor, Object.fromEntries(xs.entries()), {}, (dy) =>
    Object.fromEntries(
      places.map(({ begin, size }, i) => [
        i,
        () =>
          new Tensor(
            native.slice(
              dy.handle,
              begin,
              size,
              size.map(() => 1),
            ),
          ),
      ]),
    ),
  );
  return y;
}

/** Joins tensors of the same shape along a new axis. */
export function stack<D extends DType>(xs: readonly Tensor<D>[], axis = 0): Tensor<D> {
  if (xs.length === 0) throw new ConvgradError('ERR_VALUE', 'stack: needs at least one tensor');
  const at = resolveAxis('stack', axis, xs[0]!.rank + 1);
  return tidy(() =>
    concat(
      xs.map((x) => expandDims(x, at)),
      at,
    ),
  );
}

/**
 * Cuts x along an axis: into a number of equal parts, or into parts of the given sizes.
 * @throws ERR_VALUE when the parts do not add up
 */
export function split<D extends DType>(x: Tensor<D>, parts: number | readonly number[], axis = 0): Tensor<D>[] {
  const along = resolveAxis('split', axis, x.rank);
  const dim = x.shape[along]!;
  const sizes = typeof parts === 'number' ? Array.from({ length: parts }, () => dim / parts) : parts;
  if (sizes.length === 0 || sizes.some((s) => !Number.isInteger(s)) || sizes.reduce((a, b) => a + b, 0) !== dim) {
    throw new ConvgradError(
      'ERR_VALUE',
      `split: axis ${along} of [${x.shape.join(', ')}] has size ${dim}, which ${typeof parts === 'number' ? `${parts} equal parts` : `parts of [${parts.join(', ')}]`} do not add up to`,
    );
  }
  let start = 0;
  return sizes.map((size) => {
    const begin = x.shape.map((_, i) => (i === along ? start : 0));
    start += size;
    return slice(
      x,
      begin,
      x.shape.map((dim, i) => (i === along ? size : dim)),
    );
  });
}

/**
 * Takes the elements at `indices` along an axis: the axis is replaced by the shape of the indices.
 * An index outside [0, size) is an ERR_VALUE that the next `await data()` or op reports.
 */
export function gather<D extends DType>(x: Tensor<D>, indices: Tensor<'int32'>, axis = 0): Tensor<D> {
  const y = new Tensor<D>(native.gather(x.handle, indices.handle, axis));
  const from = x.shape;
  differentiable('gather', y as Tensor<DType> as Tensor, { x }, { indices }, (dy, { indices }) => ({
    x: () => new Tensor(native.gatherBackward(dy.handle, indices.handle, from, axis)),
  }));
  return y;
}

/** 1 at the index and 0 elsewhere, along a new last axis of size `depth`. Indices outside [0, depth) are errors. */
export function oneHot(indices: Tensor<'int32'>, depth: number): Tensor {
  return new Tensor(native.oneHot(indices.handle, depth));
}

/**
 * Converts the elements. To integers: towards zero, saturated to the range of the dtype, NaN to 0. No gradient flows
 * through a change of dtype.
 */
export function cast<D extends DType>(x: Tensor<DType>, dtype: D): Tensor<D> {
  if ((x.dtype as DType) === dtype) return reshape(x, x.shape) as Tensor<DType> as Tensor<D>;
  return new Tensor<D>(native.cast(x.handle, dtype));
}

/** Repeats x `repetitions[axis]` times along each axis. */
export function tile<D extends DType>(x: Tensor<D>, repetitions: readonly number[]): Tensor<D> {
  if (repetitions.length !== x.rank || repetitions.some((n) => !Number.isInteger(n) || n < 1)) {
    throw new ConvgradError(
      'ERR_VALUE',
      `tile: repetitions must be ${x.rank} positive integers for [${x.shape.join(', ')}], got [${repetitions.join(', ')}]`,
    );
  }
  const repeat = (x: Tensor<D>, axis: number, count: number): Tensor<D> => {
    const outer = sizeOf(x.shape.slice(0, axis));
    const block = sizeOf(x.shape.slice(axis));
    const repeated = broadcastTo(reshape(x, [outer, 1, block]), [outer, count, block]);
    return reshape(
      repeated,
      x.shape.map((dim, i) => (i === axis ? dim * count : dim)),
    );
  };
  return tidy(() => repetitions.reduce((tiled, count, axis) => repeat(tiled, axis, count), reshape(x, x.shape)));
}
