import type { DType, Tensor } from '../../lib';

/** A dense array of float64, for references written index by index. */
export interface Array64 {
  shape: readonly number[];
  data: Float64Array;
}

export function array64(x: Tensor<DType>): Array64 {
  return { shape: x.shape, data: Float64Array.from(x.dataSync()) };
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Calls `value(index)` for every index of `shape`, in row-major order. */
export function build(shape: readonly number[], value: (index: readonly number[]) => number): Array64 {
  const index = shape.map(() => 0);
  const data = Float64Array.from({ length: sizeOf(shape) }, () => {
    const result = value(index);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]! += 1;
      if (index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
    return result;
  });
  return { shape, data };
}

/** The element at an index; axes beyond the array's own are ignored, axes of size 1 repeat: NumPy's broadcasting. */
export function at(x: Array64, index: readonly number[]): number {
  const skipped = index.length - x.shape.length;
  let offset = 0;
  x.shape.forEach((dim, axis) => (offset = offset * dim + (dim === 1 ? 0 : index[axis + skipped]!)));
  return x.data[offset]!;
}

export function broadcastShape(...shapes: (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) =>
    Math.max(...shapes.map((shape) => shape[axis - (rank - shape.length)] ?? 1)),
  );
}

export function elementwise(fn: (...values: number[]) => number, ...xs: Array64[]): Array64 {
  return build(broadcastShape(...xs.map((x) => x.shape)), (index) => fn(...xs.map((x) => at(x, index))));
}

/** Collects the values that each element of the reduced array comes from, and applies `fn` to them. */
export function reduceAxes(
  fn: (values: number[]) => number,
  x: Array64,
  axes: readonly number[],
  keepDims: boolean,
): Array64 {
  const kept = x.shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  const groups = Array.from({ length: sizeOf(kept) }, (): number[] => []);
  build(x.shape, (index) => {
    let group = 0;
    kept.forEach((dim, axis) => (group = group * dim + (dim === 1 ? 0 : index[axis]!)));
    groups[group]!.push(at(x, index));
    return 0;
  });
  return {
    shape: keepDims ? kept : x.shape.filter((_, axis) => !axes.includes(axis)),
    data: Float64Array.from(groups, fn),
  };
}
