// Convolution by its definition, in float64.
import type { ConvProblem } from '../problems';

/** A problem with its padding in numbers, and the size of its output. */
export interface ResolvedConv extends ConvProblem {
  top: number;
  left: number;
  p: number;
  q: number;
}

export function resolve(problem: ConvProblem): ResolvedConv {
  const axis = (which: 0 | 1): [before: number, windows: number] => {
    const size = which === 0 ? problem.h : problem.w;
    const stride = problem.stride[which];
    const extent = ((which === 0 ? problem.r : problem.s) - 1) * problem.dilation[which] + 1;
    const { padding } = problem;
    if (padding === 'same') {
      const windows = Math.ceil(size / stride);
      return [Math.floor(Math.max(0, (windows - 1) * stride + extent - size) / 2), windows];
    }
    const side = padding === 'valid' ? 0 : typeof padding === 'number' ? padding : padding[which];
    const [before, after] = typeof side === 'number' ? [side, side] : side;
    return [before, Math.floor((size + before + after - extent) / stride) + 1];
  };
  const [top, p] = axis(0);
  const [left, q] = axis(1);
  return { ...problem, top, left, p, q };
}

export const inputShape = ({ n, h, w, c }: ConvProblem): number[] => [n, h, w, c];
export const weightShape = ({ r, s, c, k, groups }: ConvProblem): number[] => [r, s, c / groups, k];
export const outputShape = ({ n, p, q, k }: ResolvedConv): number[] => [n, p, q, k];

/** Calls `visit` with the indices of every term: y[iy] is the sum of x[ix] · weight[iw]. */
function eachTerm(conv: ResolvedConv, visit: (ix: number, iw: number, iy: number) => void): void {
  const { n, h, w, c, k, r, s, p, q, groups } = conv;
  const [groupC, groupK] = [c / groups, k / groups];
  for (let i = 0; i < n * p * q; i++) {
    const [image, row, column] = [Math.floor(i / (p * q)), Math.floor(i / q) % p, i % q];
    for (let tap = 0; tap < r * s; tap++) {
      const y = row * conv.stride[0] + Math.floor(tap / s) * conv.dilation[0] - conv.top;
      const x = column * conv.stride[1] + (tap % s) * conv.dilation[1] - conv.left;
      if (y < 0 || y >= h || x < 0 || x >= w) continue;
      const pixel = ((image * h + y) * w + x) * c;
      for (let channel = 0; channel < c; channel++) {
        const group = Math.floor(channel / groupC);
        const weight = (tap * groupC + (channel % groupC)) * k;
        for (let j = group * groupK; j < (group + 1) * groupK; j++) visit(pixel + channel, weight + j, i * k + j);
      }
    }
  }
}

type Numbers = ArrayLike<number>;

export function forward(conv: ResolvedConv, x: Numbers, weight: Numbers, bias?: Numbers): Float64Array {
  const y = new Float64Array(conv.n * conv.p * conv.q * conv.k);
  if (bias) for (let i = 0; i < y.length; i++) y[i] = bias[i % conv.k]!;
  eachTerm(conv, (ix, iw, iy) => (y[iy]! += x[ix]! * weight[iw]!));
  return y;
}

export function backwardInput(conv: ResolvedConv, dy: Numbers, weight: Numbers): Float64Array {
  const dx = new Float64Array(conv.n * conv.h * conv.w * conv.c);
  eachTerm(conv, (ix, iw, iy) => (dx[ix]! += dy[iy]! * weight[iw]!));
  return dx;
}

export function backwardWeight(conv: ResolvedConv, x: Numbers, dy: Numbers): Float64Array {
  const dweight = new Float64Array((conv.r * conv.s * conv.c * conv.k) / conv.groups);
  eachTerm(conv, (ix, iw, iy) => (dweight[iw]! += x[ix]! * dy[iy]!));
  return dweight;
}

/** The windows as rows. With a weight that is the identity, each element of a window is an output channel. */
export function im2col(conv: ResolvedConv, x: Numbers): Float64Array {
  const steps = conv.r * conv.s * conv.c;
  const whole = { ...conv, groups: 1, k: steps };
  const identity = Float64Array.from({ length: steps * steps }, (_, i) => (i % (steps + 1) === 0 ? 1 : 0));
  return forward(whole, x, identity);
}
