import { ConvgradError } from '../errors';
import { add, concat, maximum, minimum, mul, sub } from '../ops';
import type { Tensor } from '../tensor';
import { Module } from './module';
import { registerModule } from './registry';
import { many, type OneOrMany } from './symbolic';

/** A layer of several inputs: `layer([a, b])` or `layer(a, b)`. */
abstract class Merge extends Module {
  protected abstract merge(inputs: readonly Tensor[]): Tensor;

  forward(...inputs: OneOrMany<Tensor>[]): Tensor {
    const flat = inputs.flatMap((input) => many(input));
    if (flat.length < 2) {
      throw new ConvgradError('ERR_VALUE', `wants a list of two or more tensors, got ${flat.length}`);
    }
    return this.merge(flat);
  }
}

/** Sum of the inputs, which broadcast. Keras `Add`. */
export class Add extends Merge {
  protected merge(inputs: readonly Tensor[]): Tensor {
    return inputs.reduce((a, b) => add(a, b));
  }
}

/** Difference of two inputs. Keras `Subtract`. */
export class Subtract extends Merge {
  protected merge(inputs: readonly Tensor[]): Tensor {
    if (inputs.length !== 2) throw new ConvgradError('ERR_VALUE', `wants two tensors, got ${inputs.length}`);
    return sub(inputs[0]!, inputs[1]!);
  }
}

/** Product of the inputs, element by element; they broadcast. Keras `Multiply`. */
export class Multiply extends Merge {
  protected merge(inputs: readonly Tensor[]): Tensor {
    return inputs.reduce((a, b) => mul(a, b));
  }
}

/** Mean of the inputs. Keras `Average`. */
export class Average extends Merge {
  protected merge(inputs: readonly Tensor[]): Tensor {
    return mul(
      inputs.reduce((a, b) => add(a, b)),
      1 / inputs.length,
    );
  }
}

/** The larger of the inputs, element by element. Keras `Maximum`. */
export class Maximum extends Merge {
  protected merge(inputs: readonly Tensor[]): Tensor {
    return inputs.reduce((a, b) => maximum(a, b));
  }
}

/** The smaller of the inputs, element by element. Keras `Minimum`. */
export class Minimum extends Merge {
  protected merge(inputs: readonly Tensor[]): Tensor {
    return inputs.reduce((a, b) => minimum(a, b));
  }
}

/** The inputs side by side along an axis, the last one by default. Keras `Concatenate`. */
export class Concatenate extends Merge {
  constructor(readonly axis = -1) {
    super();
  }

  protected merge(inputs: readonly Tensor[]): Tensor {
    return concat(inputs, this.axis);
  }

  override config(): Record<string, unknown> {
    return { axis: this.axis };
  }
}

for (const layer of [Add, Subtract, Multiply, Average, Maximum, Minimum]) registerModule<Module>(layer.name, layer);
registerModule('Concatenate', Concatenate, ({ axis }) => new Concatenate(axis));
