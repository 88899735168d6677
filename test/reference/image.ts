/** An NHWC image batch (or any [N, H, W, C] array) in float64. */
export interface Image {
  readonly shape: readonly [number, number, number, number];
  readonly data: ArrayLike<number>;
}

/** An NHWC array of zeros to fill, with its accessors. */
export class Grid implements Image {
  readonly data: Float64Array;

  constructor(readonly shape: readonly [number, number, number, number]) {
    this.data = new Float64Array(shape.reduce((a, b) => a * b, 1));
  }

  add(n: number, h: number, w: number, c: number, value: number): void {
    const i = indexOf(this, n, h, w, c);
    this.data[i] = this.data[i]! + value;
  }
}

export function indexOf({ shape: [, H, W, C] }: Image, n: number, h: number, w: number, c: number): number {
  return ((n * H + h) * W + w) * C + c;
}

export function at(image: Image, n: number, h: number, w: number, c: number): number {
  return image.data[indexOf(image, n, h, w, c)]!;
}
