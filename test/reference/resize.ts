import { at, Grid, indexOf, type Image } from './image';

export type Coordinates = 'halfPixel' | 'alignCorners' | 'asymmetric';

/** Where element i of `output` lies among `input` elements. */
function position(i: number, input: number, output: number, coordinates: Coordinates): number {
  switch (coordinates) {
    case 'halfPixel':
      return ((i + 0.5) * input) / output - 0.5;
    case 'alignCorners':
      return output > 1 ? (i * (input - 1)) / (output - 1) : 0;
    case 'asymmetric':
      return (i * input) / output;
  }
}

/** The elements that an element of the result is made of, with their weights. */
function taps(
  i: number,
  input: number,
  output: number,
  method: 'nearest' | 'bilinear',
  coordinates: Coordinates,
): [index: number, weight: number][] {
  const clamp = (x: number): number => Math.min(Math.max(x, 0), input - 1);
  const x = position(i, input, output, coordinates);
  if (method === 'nearest') {
    // A hair up, so that what is a whole number before rounding is one after.
    return [[clamp(Math.floor(x + 1e-9 + (coordinates === 'asymmetric' ? 0 : 0.5))), 1]];
  }
  const low = Math.floor(Math.max(x, 0));
  const weight = Math.max(x, 0) - low;
  return [
    [clamp(low), 1 - weight],
    [clamp(low + 1), weight],
  ];
}

/** A resized batch in float64, and dx for a given dy. */
export function resize(
  x: Image,
  [P, Q]: readonly [number, number],
  method: 'nearest' | 'bilinear',
  coordinates: Coordinates,
  dy?: ArrayLike<number>,
): { y: Float64Array; dx: Float64Array } {
  const [N, H, W, C] = x.shape;
  const [y, dx] = [new Grid([N, P, Q, C]), new Grid(x.shape)];
  for (let n = 0; n < N; n++) {
    for (let p = 0; p < P; p++) {
      for (let q = 0; q < Q; q++) {
        for (const [h, vertical] of taps(p, H, P, method, coordinates)) {
          for (const [w, horizontal] of taps(q, W, Q, method, coordinates)) {
            for (let c = 0; c < C; c++) {
              y.add(n, p, q, c, vertical * horizontal * at(x, n, h, w, c));
              if (dy) dx.add(n, h, w, c, vertical * horizontal * dy[indexOf(y, n, p, q, c)]!);
            }
          }
        }
      }
    }
  }
  return { y: y.data, dx: dx.data };
}
