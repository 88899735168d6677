import { differentiable } from '../autograd';
import { native, type DType } from '../native';
import { sameShape, Tensor, type Shape } from '../tensor';

/**
 * Repeats x along its axes of size 1, and along new ones in front, as NumPy does.
 * @throws ERR_SHAPE when x does not broadcast to `shape`
 */
export function broadcastTo<D extends DType>(x: Tensor<D>, shape: Shape): Tensor<D> {
  const y = new Tensor<D>(native.broadcastTo(x.handle, shape));
  const from = x.shape;
  differentiable('broadcastTo', y as Tensor<DType> as Tensor, { x }, {}, (dy) => ({ x: () => sumTo(dy, from) }));
  return y;
}

/** The gradient of broadcasting: sums dy over the axes along which a tensor of `shape` was repeated. */
export function sumTo(dy: Tensor, shape: Shape): Tensor {
  if (sameShape(dy.shape, shape)) return dy;
  const added = dy.rank - shape.length;
  const axes = [...dy.shape.keys()].filter(
    (axis) => axis < added || (shape[axis - added] === 1 && dy.shape[axis] !== 1),
  );
  const summed = axes.length > 0 ? new Tensor(native.reduce(dy.handle, 'sum', axes, false, 0)) : dy;
  return new Tensor(native.reshape(summed.handle, shape));
}
