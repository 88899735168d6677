import { differentiable } from '../autograd';
import { native } from '../native';
import { Tensor, type Shape } from '../tensor';
import { windowParams, type Window2dOptions } from './convParams';
import { pairOf, type Pair } from './window';

export interface Im2colOptions extends Window2dOptions {
  kernelSize: Pair;
}

/**
 * The windows of an image as rows of a matrix.
 *
 * @param x [N, H, W, C]
 * @returns [N, P, Q, R·S·C], so that a product with a weight [R·S·C, K] is a convolution
 */
export function im2col(x: Tensor, options: Im2colOptions): Tensor {
  const window = windowParams('im2col', options);
  const size = pairOf('im2col', 'kernelSize', options.kernelSize);
  const { shape } = x;
  const columns = new Tensor(native.im2col(x.handle, ...window, size));
  return differentiable('im2col', columns, { x }, {}, (dy) => ({
    x: () => new Tensor(native.col2im(dy.handle, ...window, size, shape)),
  }));
}

/**
 * The transpose of `im2col`: adds every row's elements to the pixels they came from.
 *
 * @param columns [N, P, Q, R·S·C]
 * @param inputShape [N, H, W, C]
 * @returns [N, H, W, C]
 */
export function col2im(columns: Tensor, inputShape: Shape, options: Im2colOptions): Tensor {
  const window = windowParams('col2im', options);
  const size = pairOf('col2im', 'kernelSize', options.kernelSize);
  const x = new Tensor(native.col2im(columns.handle, ...window, size, inputShape));
  return differentiable('col2im', x, { columns }, {}, (dy) => ({
    columns: () => new Tensor(native.im2col(dy.handle, ...window, size)),
  }));
}
