/** softmax of one row in float64. */
export function softmax(row: ArrayLike<number>): number[] {
  const peak = Math.max(...Array.from(row));
  const e = Array.from(row, (x) => Math.exp(x - peak));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((x) => x / sum);
}

/** log softmax of one row in float64. */
export function logSoftmax(row: ArrayLike<number>): number[] {
  const peak = Math.max(...Array.from(row));
  const sum = Array.from(row).reduce((total, x) => total + Math.exp(x - peak), 0);
  return Array.from(row, (x) => x - peak - Math.log(sum));
}

/** Applies `fn` to every row along an axis of a row-major array. */
export function alongAxis(
  data: ArrayLike<number>,
  shape: readonly number[],
  axis: number,
  fn: (row: number[], start: number, stride: number) => number[],
): Float64Array {
  const size = shape[axis]!;
  const stride = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const result = new Float64Array(data.length);
  for (let start = 0; start < data.length; start++) {
    if (Math.floor(start / stride) % size !== 0) continue;
    const row = Array.from({ length: size }, (_, i) => data[start + i * stride]!);
    fn(row, start, stride).forEach((value, i) => (result[start + i * stride] = value));
  }
  return result;
}
