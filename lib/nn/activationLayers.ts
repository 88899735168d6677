import {
  elu,
  gelu,
  hardSigmoid,
  hardSilu,
  leakyRelu,
  logSoftmax,
  relu,
  relu6,
  sigmoid,
  silu,
  softmax,
  softplus,
  tanh,
} from '../ops';
import type { Tensor } from '../tensor';
import { resolveActivation, type Activation as ActivationOption, type ResolvedActivation } from './activations';
import { Module } from './module';
import { float } from './print';
import { registerModule } from './registry';

/** Keras `Activation`: an activation by name, or any function of a tensor. */
export class Activation extends Module {
  /** @internal */
  readonly activation: ResolvedActivation;
  readonly #given: ActivationOption;

  constructor(activation: ActivationOption) {
    super();
    this.activation = resolveActivation('Activation', activation);
    this.#given = activation;
  }

  forward(x: Tensor): Tensor {
    return this.activation.apply(x);
  }

  override get callsBack(): boolean {
    return this.activation.name === null;
  }

  override get finalActivation(): 'softmax' | 'sigmoid' | null {
    const { name } = this.activation;
    return name === 'softmax' || name === 'sigmoid' ? name : null;
  }

  protected override forwardLogits(x: Tensor): Tensor {
    return x;
  }

  override config(): Record<string, unknown> {
    return { activation: this.#given };
  }

  override extraRepr(): string {
    return this.activation.name ?? 'function';
  }
}

/** PyTorch `Softmax`, Keras `Softmax`: e^x / Σe^x along an axis, the last one by default. */
export class Softmax extends Module {
  constructor(readonly axis = -1) {
    super();
  }

  forward(x: Tensor): Tensor {
    return softmax(x, this.axis);
  }

  override get finalActivation(): 'softmax' | null {
    return this.axis === -1 ? 'softmax' : null;
  }

  protected override forwardLogits(x: Tensor): Tensor {
    return x;
  }

  override config(): Record<string, unknown> {
    return { axis: this.axis };
  }

  override extraRepr(): string {
    return `dim=${this.axis}`;
  }
}

/** PyTorch `LogSoftmax`: log(softmax(x)) along an axis, the last one by default. */
export class LogSoftmax extends Module {
  constructor(readonly axis = -1) {
    super();
  }

  forward(x: Tensor): Tensor {
    return logSoftmax(x, this.axis);
  }

  override config(): Record<string, unknown> {
    return { axis: this.axis };
  }

  override extraRepr(): string {
    return `dim=${this.axis}`;
  }
}

/** `x < 0 ? 0 : x`. PyTorch and Keras `ReLU`. */
export class ReLU extends Module {
  forward(x: Tensor): Tensor {
    return relu(x);
  }
}

/** ReLU, at most 6. PyTorch `ReLU6`. */
export class ReLU6 extends Module {
  forward(x: Tensor): Tensor {
    return relu6(x);
  }
}

/** `x < 0 ? slope · x : x`. PyTorch `LeakyReLU` (slope 0.01), Keras `LeakyReLU` (0.3). */
export class LeakyReLU extends Module {
  constructor(readonly negativeSlope = 0.01) {
    super();
  }

  forward(x: Tensor): Tensor {
    return leakyRelu(x, this.negativeSlope);
  }

  override config(): Record<string, unknown> {
    return { negativeSlope: this.negativeSlope };
  }

  override extraRepr(): string {
    return `negative_slope=${float(this.negativeSlope)}`;
  }
}

/** `x < 0 ? alpha · (e^x - 1) : x`. PyTorch and Keras `ELU`. */
export class ELU extends Module {
  constructor(readonly alpha = 1) {
    super();
  }

  forward(x: Tensor): Tensor {
    return elu(x, this.alpha);
  }

  override config(): Record<string, unknown> {
    return { alpha: this.alpha };
  }

  override extraRepr(): string {
    return `alpha=${float(this.alpha)}`;
  }
}

/** `1 / (1 + e^-x)`. PyTorch `Sigmoid`. */
export class Sigmoid extends Module {
  forward(x: Tensor): Tensor {
    return sigmoid(x);
  }

  override get finalActivation(): 'sigmoid' {
    return 'sigmoid';
  }

  protected override forwardLogits(x: Tensor): Tensor {
    return x;
  }
}

/** PyTorch `Tanh`. */
export class Tanh extends Module {
  forward(x: Tensor): Tensor {
    return tanh(x);
  }
}

/** `x · sigmoid(x)`. PyTorch `SiLU`, also known as swish. */
export class SiLU extends Module {
  forward(x: Tensor): Tensor {
    return silu(x);
  }
}

/** `x · relu6(x + 3) / 6`. PyTorch `Hardswish`. */
export class Hardswish extends Module {
  forward(x: Tensor): Tensor {
    return hardSilu(x);
  }
}

/** `relu6(x + 3) / 6`. PyTorch `Hardsigmoid`. */
export class Hardsigmoid extends Module {
  forward(x: Tensor): Tensor {
    return hardSigmoid(x);
  }
}

/** `x · Φ(x)`, or with `approximate` its tanh approximation. PyTorch `GELU`. */
export class GELU extends Module {
  readonly approximate: boolean;

  constructor({ approximate = false }: { approximate?: boolean } = {}) {
    super();
    this.approximate = approximate;
  }

  forward(x: Tensor): Tensor {
    return gelu(x, { approximate: this.approximate });
  }

  override config(): Record<string, unknown> {
    return { approximate: this.approximate };
  }

  override extraRepr(): string {
    return `approximate='${this.approximate ? 'tanh' : 'none'}'`;
  }
}

/** `log(1 + e^x)`. PyTorch `Softplus`. */
export class Softplus extends Module {
  forward(x: Tensor): Tensor {
    return softplus(x);
  }
}

/** Passes its input on. PyTorch and Keras `Identity`. */
export class Identity extends Module {
  forward(x: Tensor): Tensor {
    return x;
  }
}

for (const layer of [ReLU, ReLU6, Sigmoid, Tanh, SiLU, Hardswish, Hardsigmoid, GELU, Softplus, Identity]) {
  registerModule<Module>(layer.name, layer);
}
registerModule('Activation', Activation, ({ activation }) => new Activation(activation));
registerModule('Softmax', Softmax, ({ axis }) => new Softmax(axis));
registerModule('LogSoftmax', LogSoftmax, ({ axis }) => new LogSoftmax(axis));
registerModule('LeakyReLU', LeakyReLU, ({ negativeSlope }) => new LeakyReLU(negativeSlope));
registerModule('ELU', ELU, ({ alpha }) => new ELU(alpha));
