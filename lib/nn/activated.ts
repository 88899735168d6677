import type { Tensor } from '../tensor';
import { resolveActivation, type Activation, type Epilogue, type ResolvedActivation } from './activations';
import { Module } from './module';

/** A layer with an activation at its end, which the op applies as it writes the output, where it can. */
export abstract class ActivatedLayer extends Module {
  /** @internal */
  readonly activation: ResolvedActivation;
  readonly #given: Activation | null;

  constructor(activation: Activation | null | undefined) {
    super();
    this.activation = resolveActivation(this.constructor.name, activation);
    this.#given = activation ?? null;
  }

  /** The layer without its activation, but with an epilogue. */
  protected abstract compute(x: Tensor, epilogue: Epilogue | 'none'): Tensor;

  forward(x: Tensor): Tensor {
    const { apply, epilogue } = this.activation;
    return epilogue ? this.compute(x, epilogue) : apply(this.compute(x, 'none'));
  }

  /** @internal Runs the layer, which has no activation of its own, with that of the layer after it. */
  callWith(epilogue: Epilogue, x: Tensor): Tensor {
    return this.run([x], () => this.compute(x, epilogue));
  }

  /** @internal Runs the layer as `compute`, which does the work of the layers after it as well, up to `last`. */
  callAs(compute: (x: Tensor) => Tensor, last: Module, x: Tensor): Tensor {
    return this.run([x], () => compute(x), last);
  }

  override get callsBack(): boolean {
    return this.activation.name === null;
  }

  override get finalActivation(): 'softmax' | 'sigmoid' | null {
    const { name } = this.activation;
    return name === 'softmax' || name === 'sigmoid' ? name : null;
  }

  protected override forwardLogits(x: Tensor): Tensor {
    return this.compute(x, 'none');
  }

  override config(): Record<string, unknown> {
    return { activation: this.#given ?? undefined };
  }
}
