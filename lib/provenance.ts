import { ConvgradError } from './errors';
import type { DType } from './native';
import { sameShape, type Shape, type Tensor } from './tensor';

/**
 * Where a tensor came from, as far as error messages tell. It is the answer to "which layer made this, and was it
 * flattened on the way?", which the shape alone does not give.
 */
export interface Origin {
  /** The module whose call returned the tensor, or the one that this tensor is a view of. */
  producer?: object;
  /** Set on a view: the shape before, and the module that made the view, if a module's call returned it. */
  view?: { from: Shape; by?: object };
}

const origins = new WeakMap<Tensor<DType>, Origin>();
const failures = new WeakMap<object, { from: Shape; wanted: Shape; producer?: object }>();

export function originOf(tensor: Tensor<DType>): Origin {
  return origins.get(tensor) ?? {};
}

/**
 * Notes that a call of `module` with `input` returned `tensor`. The first, innermost module counts; and what only changes
 * the elements of something flattened, as dropout does, is still flattened.
 */
export function markProduced(tensor: Tensor<DType>, module: object, input: Tensor<DType> | null): void {
  const origin = originOf(tensor);
  if (origin.view) {
    origin.view.by ??= module;
  } else if (!origin.producer) {
    const before = input ? originOf(input) : {};
    const kept = before.view && sameShape(tensor.shape, input!.shape);
    origins.set(tensor, kept ? before : { producer: module });
  }
}

/** Notes that `view` has the elements of `source` under another shape. A view of a view is one of the first source. */
export function markView(view: Tensor<DType>, source: Tensor<DType>): void {
  const origin = originOf(source);
  if (sameShape(view.shape, source.shape)) origins.set(view, origin);
  else origins.set(view, { producer: origin.producer, view: { from: origin.view?.from ?? source.shape } });
}

/** Notes on an error that `source` could not be viewed as `wanted`. Returns the error. */
export function markFailedView(error: unknown, source: Tensor<DType>, wanted: Shape): unknown {
  if (error instanceof ConvgradError && error.code === 'ERR_SHAPE') {
    const origin = originOf(source);
    failures.set(error, { from: origin.view?.from ?? source.shape, wanted, producer: origin.producer });
  }
  return error;
}

/** The view that failed with this error, if one did. */
export function failedView(error: object): { from: Shape; wanted: Shape; producer?: object } | undefined {
  return failures.get(error);
}
