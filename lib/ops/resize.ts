import { differentiable } from '../autograd';
import { native, type ResizeCoordinates, type ResizeMethod } from '../native';
import { Tensor } from '../tensor';
import { pairOf, type Pair } from './window';

export interface ResizeNearestOptions {
  /**
   * Where a pixel i of the result lies in the input: `'halfPixel'` (default) at (i + ½) · in / out - ½, as TensorFlow and
   * PyTorch's 'nearest-exact'; `'asymmetric'` at i · in / out, cut off, as PyTorch's 'nearest'; `'alignCorners'` at
   * i · (in - 1) / (out - 1). They agree where the size grows by a whole factor, but for the last.
   */
  coordinates?: ResizeCoordinates;
}

export interface ResizeBilinearOptions {
  /** Whether the centres of the corner pixels stay in place, instead of the edges of the image. Default false. */
  alignCorners?: boolean;
}

function resize(
  name: string,
  x: Tensor<'float32' | 'uint8'>,
  size: Pair,
  method: ResizeMethod,
  coordinates: ResizeCoordinates,
): Tensor {
  const y = new Tensor(native.resize(x.handle, pairOf(name, 'size', size), method, coordinates));
  const inputSize = x.shape.slice(1, 3);
  return differentiable(name, y, { x }, {}, (dy) => ({
    x: () => new Tensor(native.resizeBackward(dy.handle, inputSize, method, coordinates)),
  }));
}

/**
 * Resizes images to [height, width] by taking the nearest pixel.
 * @param x [N, H, W, C], float32 or uint8
 * @returns float32
 */
export function resizeNearest(
  x: Tensor<'float32' | 'uint8'>,
  size: Pair,
  { coordinates = 'halfPixel' }: ResizeNearestOptions = {},
): Tensor {
  return resize('resizeNearest', x, size, 'nearest', coordinates);
}

/**
 * Resizes images to [height, width] by interpolating between the four pixels around a place, without antialiasing.
 * @param x [N, H, W, C], float32 or uint8
 * @returns float32
 */
export function resizeBilinear(
  x: Tensor<'float32' | 'uint8'>,
  size: Pair,
  { alignCorners = false }: ResizeBilinearOptions = {},
): Tensor {
  return resize('resizeBilinear', x, size, 'bilinear', alignCorners ? 'alignCorners' : 'halfPixel');
}
