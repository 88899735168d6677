import { keep } from '../memory';
import { native, type DType } from '../native';
import { Tensor } from '../tensor';

/** Takes over the memory of `data`, which is disposed, as a tensor that no `tidy` frees. */
function takeOver<D extends DType>(data: Tensor<D>) {
  const handle = native.reshape(data.handle, data.shape);
  data.dispose();
  return handle;
}

/**
 * A tensor that a module learns: assigned to a property of a `Module` it shows up in `parameters()` and `stateDict()`.
 * It takes over the memory of `data`, which is disposed; `tidy` leaves it alone.
 */
export class Parameter extends Tensor {
  constructor(data: Tensor, { trainable = true }: { trainable?: boolean } = {}) {
    super(takeOver(data));
    keep(this);
    this.requiresGrad = trainable;
  }

  /** Whether gradients are computed for it: another name of `requiresGrad`. */
  get trainable(): boolean {
    return this.requiresGrad;
  }

  set trainable(value: boolean) {
    this.requiresGrad = value;
  }
}

/**
 * A tensor that belongs to a module's state but is not learnt, such as a running mean: saved and loaded with it.
 * It takes over the memory of `data`, which is disposed; `tidy` leaves it alone. Change it with `assign()`.
 */
export class Buffer<D extends DType = 'float32'> extends Tensor<D> {
  constructor(data: Tensor<D>) {
    super(takeOver(data));
    keep(this as Tensor<DType>);
  }
}
