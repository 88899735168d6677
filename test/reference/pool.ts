import { at, Grid, indexOf, type Image } from './image';

/** Where the windows of one axis lie: [begin, end) in input coordinates, padding included. */
export type Axis = { begin: number; end: number }[];

/** Windows every `stride` elements, from `before` elements of padding on. */
export function stridedAxis(
  input: number,
  size: number,
  stride: number,
  [before, after]: readonly [number, number],
  ceilMode = false,
): Axis {
  const windows: Axis = [];
  for (let begin = -before; ; begin += stride) {
    const fits = begin + size <= input + after;
    const hangsOver = ceilMode && begin < input && begin - stride + size < input + after;
    if (!fits && !hangsOver) return windows;
    windows.push({ begin, end: Math.min(begin + size, input + after) });
  }
}

/** TensorFlow's 'same'. */
export function sameAxis(input: number, size: number, stride: number): Axis {
  const total = Math.max(0, (Math.ceil(input / stride) - 1) * stride + size - input);
  const before = Math.floor(total / 2);
  return stridedAxis(input, size, stride, [before, total - before]);
}

/** `count` windows spread evenly. */
export function adaptiveAxis(input: number, count: number): Axis {
  return Array.from({ length: count }, (_, i) => ({
    begin: Math.floor((i * input) / count),
    end: Math.ceil(((i + 1) * input) / count),
  }));
}

/** The positions of the input that a window sees. */
function* seen(x: Image, rows: Axis[number], columns: Axis[number]): Generator<[number, number]> {
  const [, H, W] = x.shape;
  for (let h = Math.max(0, rows.begin); h < Math.min(H, rows.end); h++) {
    for (let w = Math.max(0, columns.begin); w < Math.min(W, columns.end); w++) yield [h, w];
  }
}

/** Values and indices h · W + w of the maxima (the first of equal ones, the last NaN), and dx for a given dy. */
export function maxPool(x: Image, rows: Axis, columns: Axis, dy?: ArrayLike<number>) {
  const [N, , W, C] = x.shape;
  const values = new Grid([N, rows.length, columns.length, C]);
  const indices = new Int32Array(values.data.length);
  const dx = new Grid(x.shape);
  for (let n = 0; n < N; n++) {
    rows.forEach((row, p) =>
      columns.forEach((column, q) => {
        for (let c = 0; c < C; c++) {
          const out = indexOf(values, n, p, q, c);
          let best: number | undefined;
          for (const [h, w] of seen(x, row, column)) {
            const value = at(x, n, h, w, c);
            if (best !== undefined && !(value > best) && !Number.isNaN(value)) continue;
            best = value;
            indices[out] = h * W + w;
          }
          values.data[out] = best!;
          if (dy) dx.add(n, Math.floor(indices[out]! / W), indices[out]! % W, c, dy[out]!);
        }
      }),
    );
  }
  return { values: values.data, indices, dx: dx.data };
}

/** Averages, and dx for a given dy. `divisor` is what a sum is divided by, if not the number of elements. */
export function avgPool(
  x: Image,
  rows: Axis,
  columns: Axis,
  countPadding: boolean,
  dy?: ArrayLike<number>,
  divisor?: number,
) {
  const [N, , , C] = x.shape;
  const y = new Grid([N, rows.length, columns.length, C]);
  const dx = new Grid(x.shape);
  for (let n = 0; n < N; n++) {
    rows.forEach((row, p) =>
      columns.forEach((column, q) => {
        const positions = [...seen(x, row, column)];
        const extent = (row.end - row.begin) * (column.end - column.begin);
        const count = divisor ?? (countPadding ? extent : positions.length);
        for (let c = 0; c < C; c++) {
          const out = indexOf(y, n, p, q, c);
          for (const [h, w] of positions) {
            y.add(n, p, q, c, at(x, n, h, w, c) / count);
            if (dy) dx.add(n, h, w, c, dy[out]! / count);
          }
        }
      }),
    );
  }
  return { y: y.data, dx: dx.data };
}
