import type { Pixels } from './decode';

/** What lies beyond the edges of an image: a value, its outermost pixels, or its mirror image (d c b a | a b c d | d c b a). */
export type FillMode = 'constant' | 'nearest' | 'reflect';

/** The pixel (x, y) of a result is taken from (a·x + b·y + c, d·x + e·y + f). */
export type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/**
 * An image of the same size whose pixels are bilinear samples of this one.
 * @param fillValue for `'constant'`, in the image's own units
 */
export function warpAffine(image: Pixels, matrix: Affine, fillMode: FillMode, fillValue = 0): Pixels {
  const [height, width, channels] = image.shape as [number, number, number];
  const [a, b, c, d, e, f] = matrix;
  const source = image.data;
  const result = like(image, image.shape);
  const target = result.data;
  // Bytes are stored by truncation.
  const rounding = target instanceof Uint8Array ? 0.5 : 0;
  const beyond = beyondEdge[fillMode];

  const sample = (y: number, x: number, channel: number): number => {
    const row = beyond(y, height);
    const column = beyond(x, width);
    return row < 0 || column < 0 ? fillValue : source[(row * width + column) * channels + channel]!;
  };

  const stride = width * channels;
  let at = 0;
  for (let y = 0; y < height; ++y) {
    for (let x = 0; x < width; ++x) {
      const sourceX = a * x + b * y + c;
      const sourceY = d * x + e * y + f;
      const left = Math.floor(sourceX);
      const top = Math.floor(sourceY);
      const toRight = sourceX - left;
      const toBottom = sourceY - top;
      const bottomRight = toRight * toBottom;
      const bottomLeft = toBottom - bottomRight;
      const topRight = toRight - bottomRight;
      const topLeft = 1 - toRight - bottomLeft;
      if (left >= 0 && top >= 0 && left + 1 < width && top + 1 < height) {
        let from = top * stride + left * channels;
        for (const end = from + channels; from < end; ++from) {
          target[at++] =
            topLeft * source[from]! +
            topRight * source[from + channels]! +
            bottomLeft * source[from + stride]! +
            bottomRight * source[from + stride + channels]! +
            rounding;
        }
      } else {
        for (let channel = 0; channel < channels; ++channel) {
          target[at++] =
            topLeft * sample(top, left, channel) +
            topRight * sample(top, left + 1, channel) +
            bottomLeft * sample(top + 1, left, channel) +
            bottomRight * sample(top + 1, left + 1, channel) +
            rounding;
        }
      }
    }
  }
  return result;
}

/** Where a row or column of each fill mode really lies; -1 where it is nowhere. */
export const beyondEdge: Readonly<Record<FillMode, (position: number, size: number) => number>> = {
  constant: (position, size) => (position >= 0 && position < size ? position : -1),
  nearest: (position, size) => Math.min(Math.max(position, 0), size - 1),
  reflect: (position, size) => {
    const inPeriod = ((position % (2 * size)) + 2 * size) % (2 * size);
    return inPeriod < size ? inPeriod : 2 * size - 1 - inPeriod;
  },
};

/** An image of the same element type, all zero. */
export function like(image: Pixels, shape: readonly number[]): Pixels {
  const size = shape.reduce((product, dim) => product * dim, 1);
  return { data: image.data instanceof Uint8Array ? new Uint8Array(size) : new Float32Array(size), shape };
}

/** The image's elements, copied. (Not by `slice`, with which a Buffer would share its memory.) */
export function copyOf(image: Pixels): Uint8Array | Float32Array {
  const { data } = like(image, image.shape);
  data.set(image.data);
  return data;
}
