import { differentiable, noGrad } from '../autograd';
import { ConvgradError } from '../errors';
import { tidy } from '../memory';
import { native, type DType, type ReduceFunction } from '../native';
import { sizeOf, Tensor, type Shape } from '../tensor';
import { div, equal, mul, sub, where, type Arithmetic } from './binary';
import { sqrt } from './unary';

/** The axes to reduce; negative ones count from the end. Default: all. */
export type Axes = number | readonly number[];

const list = (axes: Axes | undefined): readonly number[] =>
  axes === undefined ? [] : typeof axes === 'number' ? [axes] : axes;

function reduce(fn: ReduceFunction, x: Tensor<DType>, axes: Axes | undefined, keepDims: boolean, correction = 0) {
  if (axes !== undefined && list(axes).length === 0) {
    throw new ConvgradError('ERR_VALUE', `${fn}: axes must not be empty; leave them out to reduce over all axes`);
  }
  return native.reduce(x.handle, fn, list(axes), keepDims, correction);
}

/** `shape` with 1 in place of the reduced axes. */
function keptShape(shape: Shape, axes: Axes | undefined): Shape {
  const reduced = list(axes).map((axis) => (axis < 0 ? axis + shape.length : axis));
  return shape.map((dim, axis) => (axes === undefined || reduced.includes(axis) ? 1 : dim));
}

/** dy, as it would be with keepDims: it broadcasts to the shape of x. */
const kept = (dy: Tensor, shape: Shape) => new Tensor(native.reshape(dy.handle, shape));
const spread = (dy: Tensor, shape: Shape) => new Tensor(native.broadcastTo(dy.handle, shape));

/** The sum over the axes, accumulated in float64. An int32 sum wraps around. */
export function sum<D extends Arithmetic = 'float32'>(x: Tensor<D>, axes?: Axes, keepDims = false): Tensor<D> {
  const y = new Tensor<D>(reduce('sum', x, axes, keepDims));
  const from = x.shape;
  differentiable('sum', y as Tensor<DType> as Tensor, { x }, {}, (dy) => ({
    x: () => spread(kept(dy, keptShape(from, axes)), from),
  }));
  return y;
}

/** The mean over the axes. */
export function mean(x: Tensor, axes?: Axes, keepDims = false): Tensor {
  const y = new Tensor(reduce('mean', x, axes, keepDims));
  const from = x.shape;
  return differentiable('mean', y, { x }, {}, (dy) => ({
    x: () => spread(kept(mul(dy, y.size / sizeOf(from)), keptShape(from, axes)), from),
  }));
}

function extremum<D extends Arithmetic>(fn: 'max' | 'min', x: Tensor<D>, axes?: Axes, keepDims = false): Tensor<D> {
  const y = new Tensor<D>(reduce(fn, x, axes, keepDims));
  const saved = { x, y };
  differentiable(fn, y as Tensor<DType> as Tensor, { x }, saved, (dy, saved) => ({
    x: () => {
      const [x, y] = [saved.x, saved.y] as Tensor<DType>[] as [Tensor, Tensor];
      const shape = keptShape(x.shape, axes);
      const winners = new Tensor(native.cast(equal(x, kept(y, shape)).handle, 'float32'));
      return mul(winners, div(kept(dy, shape), sum(winners, axes, true)));
    },
  }));
  return y;
}

/** The largest value over the axes, NaN if there is one. Values that tie share the gradient evenly. */
export const max = <D extends Arithmetic = 'float32'>(x: Tensor<D>, axes?: Axes, keepDims = false): Tensor<D> =>
  extremum('max', x, axes, keepDims);
/** The smallest value over the axes, NaN if there is one. Values that tie share the gradient evenly. */
export const min = <D extends Arithmetic = 'float32'>(x: Tensor<D>, axes?: Axes, keepDims = false): Tensor<D> =>
  extremum('min', x, axes, keepDims);

/** The index of the first largest value along an axis. A NaN counts as the largest. */
export const argMax = (x: Tensor, axis = -1, keepDims = false): Tensor<'int32'> =>
  new Tensor<'int32'>(native.argReduce(x.handle, 'argMax', axis, keepDims));
/** The index of the first smallest value along an axis. A NaN counts as the smallest. */
export const argMin = (x: Tensor, axis = -1, keepDims = false): Tensor<'int32'> =>
  new Tensor<'int32'>(native.argReduce(x.handle, 'argMin', axis, keepDims));

export interface VarianceOptions {
  /** Whether the reduced axes stay, with size 1. Default false. */
  keepDims?: boolean;
  /** Divide by n - 1 (Bessel's correction) and not by n. Default false. */
  unbiased?: boolean;
}

/** The variance over the axes, in two passes: squared deviations from the mean. */
export function variance(x: Tensor, axes?: Axes, { keepDims = false, unbiased = false }: VarianceOptions = {}): Tensor {
  const correction = unbiased ? 1 : 0;
  const y = new Tensor(reduce('variance', x, axes, keepDims, correction));
  const divisor = x.size / y.size - correction;
  return differentiable('variance', y, { x }, { x }, (dy, { x }) => ({
    x: () => mul(sub(x, mean(x, axes, true)), kept(mul(dy, 2 / divisor), keptShape(x.shape, axes))),
  }));
}

/** The standard deviation over the axes: the root of the variance. Its derivative at 0 is 0. */
export function std(x: Tensor, axes?: Axes, options: VarianceOptions = {}): Tensor {
  const y = tidy(() => noGrad(() => sqrt(variance(x, axes, options))));
  const divisor = x.size / y.size - (options.unbiased ? 1 : 0);
  return differentiable('std', y, { x }, { x, y }, (dy, { x, y }) => ({
    x: () => {
      const scale = mul(where(equal(y, 0), 0, div(dy, y)), 1 / divisor);
      return mul(sub(x, mean(x, axes, true)), kept(scale, keptShape(x.shape, axes)));
    },
  }));
}

/** The Euclidean norm over the axes. Its derivative at 0 is 0. */
export function norm(x: Tensor, axes?: Axes, keepDims = false): Tensor {
  const y = tidy(() => noGrad(() => sqrt(new Tensor(reduce('sumSquares', x, axes, keepDims)))));
  return differentiable('norm', y, { x }, { x, y }, (dy, { x, y }) => ({
    x: () => mul(x, kept(where(equal(y, 0), 0, div(dy, y)), keptShape(x.shape, axes))),
  }));
}
