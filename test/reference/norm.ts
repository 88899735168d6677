/** Normalisation of rows of numbers in float64: what batchNorm, layerNorm and groupNorm do to their sets of elements. */
export interface Normalized {
  y: Float64Array;
  dx: Float64Array;
  dgamma: Float64Array;
  dbeta: Float64Array;
  /** The largest of the terms that dx is the difference of. */
  dxScale: number;
  /** Of each set: mean and biased variance. */
  mean: number[];
  variance: number[];
}

export interface Normalization {
  x: ArrayLike<number>;
  dy: ArrayLike<number>;
  /** The set of elements that element i is normalised with. */
  setOf(i: number): number;
  sets: number;
  /** Which gamma and beta element i has. */
  channelOf(i: number): number;
  channels: number;
  gamma?: ArrayLike<number>;
  beta?: ArrayLike<number>;
  epsilon: number;
  /** Given statistics of the sets, which are constants for the gradient. */
  given?: { mean: ArrayLike<number>; variance: ArrayLike<number> };
}

export function normalize({ x, dy, setOf, sets, channelOf, channels, gamma, beta, epsilon, given }: Normalization) {
  const zeros = (count: number): number[] => new Array<number>(count).fill(0);
  const add = (array: number[] | Float64Array, i: number, value: number): void => {
    array[i] = array[i]! + value;
  };
  const [count, mean, variance] = [zeros(sets), zeros(sets), zeros(sets)];
  for (let i = 0; i < x.length; i++) {
    add(count, setOf(i), 1);
    add(mean, setOf(i), x[i]!);
  }
  mean.forEach((sum, set) => (mean[set] = given ? given.mean[set]! : sum / count[set]!));
  for (let i = 0; i < x.length; i++) add(variance, setOf(i), (x[i]! - mean[setOf(i)]!) ** 2 / count[setOf(i)]!);
  if (given) variance.forEach((_, set) => (variance[set] = given.variance[set]!));

  const scale = (i: number): number => gamma?.[channelOf(i)] ?? 1;
  const invStd = (i: number): number => 1 / Math.sqrt(variance[setOf(i)]! + epsilon);
  const hat = (i: number): number => (x[i]! - mean[setOf(i)]!) * invStd(i);
  const result: Normalized = {
    y: new Float64Array(x.length),
    dx: new Float64Array(x.length),
    dgamma: new Float64Array(channels),
    dbeta: new Float64Array(channels),
    dxScale: 0,
    mean,
    variance,
  };
  const [sum, product] = [zeros(sets), zeros(sets)];
  for (let i = 0; i < x.length; i++) {
    result.y[i] = hat(i) * scale(i) + (beta?.[channelOf(i)] ?? 0);
    add(result.dgamma, channelOf(i), dy[i]! * hat(i));
    add(result.dbeta, channelOf(i), dy[i]!);
    add(sum, setOf(i), dy[i]! * scale(i));
    add(product, setOf(i), dy[i]! * scale(i) * hat(i));
  }
  for (let i = 0; i < x.length; i++) {
    const set = setOf(i);
    const through = given ? 0 : (sum[set]! + hat(i) * product[set]!) / count[set]!;
    result.dx[i] = invStd(i) * (dy[i]! * scale(i) - through);
    result.dxScale = Math.max(result.dxScale, Math.abs(invStd(i) * dy[i]! * scale(i)));
  }
  return result;
}
