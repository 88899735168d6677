type Numbers = ArrayLike<number>;

/** c[m, n] = Σ a[m, k] · b[k, n] in float64. */
export function matmul(a: Numbers, b: Numbers, m: number, k: number, n: number): Float64Array {
  const c = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < k; j++) {
      const value = a[i * k + j]!;
      for (let l = 0; l < n; l++) c[i * n + l]! += value * b[j * n + l]!;
    }
  }
  return c;
}

/** [rows, columns] → [columns, rows] */
export function transpose(x: Numbers, rows: number, columns: number): Float64Array {
  return Float64Array.from({ length: rows * columns }, (_, i) => x[(i % rows) * columns + Math.floor(i / rows)]!);
}
