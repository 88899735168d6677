import { lookUp } from '../names';
import { randomNormal, randomUniform, truncatedNormal } from '../random';
import { full, ones, zeros, type Shape, type Tensor } from '../tensor';

/** How many inputs an output of the layer depends on, and how many outputs an input reaches. */
export interface Fans {
  fanIn: number;
  fanOut: number;
}

/** Makes the first values of a parameter. A bias gets the fans of its layer's weight. */
export type InitializerFunction = (shape: Shape, fans: Fans) => Tensor;

/** An initializer by Keras's name (camelCase or snake_case), or a function. */
export type Initializer = string | InitializerFunction;

/** A normal distribution cut at two standard deviations has this one. */
const STD_OF_TRUNCATED = 0.8796256610342398;

const uniform = (shape: Shape, limit: number): Tensor => randomUniform(shape, { low: -limit, high: limit });
const truncated = (shape: Shape, std: number): Tensor => truncatedNormal(shape, { std: std / STD_OF_TRUNCATED });

const initializers: Record<string, InitializerFunction> = {
  zeros: (shape) => zeros(shape),
  ones: (shape) => ones(shape),
  /** Uniform in ±√(6 / (fanIn + fanOut)): Keras's default. */
  glorotUniform: (shape, { fanIn, fanOut }) => uniform(shape, Math.sqrt(6 / (fanIn + fanOut))),
  /** Normal of variance 2 / (fanIn + fanOut), cut at two standard deviations. */
  glorotNormal: (shape, { fanIn, fanOut }) => truncated(shape, Math.sqrt(2 / (fanIn + fanOut))),
  /** Uniform in ±√(6 / fanIn); for ReLU. */
  heUniform: (shape, { fanIn }) => uniform(shape, Math.sqrt(6 / fanIn)),
  /** Normal of variance 2 / fanIn, cut at two standard deviations; for ReLU. */
  heNormal: (shape, { fanIn }) => truncated(shape, Math.sqrt(2 / fanIn)),
  lecunUniform: (shape, { fanIn }) => uniform(shape, Math.sqrt(3 / fanIn)),
  lecunNormal: (shape, { fanIn }) => truncated(shape, Math.sqrt(1 / fanIn)),
  /** Uniform in ±1 / √fanIn: PyTorch's default for weights (it calls it kaiming_uniform with a = √5) and for biases. */
  fanInUniform: (shape, { fanIn }) => uniform(shape, 1 / Math.sqrt(fanIn)),
  /** PyTorch's kaiming_normal: not cut. */
  kaimingNormal: (shape, { fanIn }) => randomNormal(shape, { std: Math.sqrt(2 / fanIn) }),
  /** PyTorch's xavier_normal: not cut. */
  xavierNormal: (shape, { fanIn, fanOut }) => randomNormal(shape, { std: Math.sqrt(2 / (fanIn + fanOut)) }),
  /** Keras's: standard deviation 0.05. */
  randomNormal: (shape) => randomNormal(shape, { std: 0.05 }),
  /** Keras's: in ±0.05. */
  randomUniform: (shape) => uniform(shape, 0.05),
  /** Keras's: standard deviation 0.05 before the cut. */
  truncatedNormal: (shape) => truncatedNormal(shape, { std: 0.05 }),
};

// PyTorch's names.
initializers['kaimingUniform'] = initializers['heUniform']!;
initializers['xavierUniform'] = initializers['glorotUniform']!;

/** Every element the same. */
export function constant(value: number): InitializerFunction {
  return (shape) => full(shape, value);
}

/** @throws ERR_VALUE when there is no initializer of that name */
export function resolveInitializer(initializer: Initializer): InitializerFunction {
  return typeof initializer === 'function' ? initializer : lookUp(initializers, initializer, 'initializer');
}

/** The fans of a dense weight [in, out] or a convolution's [R, S, in, out]. */
export function fansOf(shape: Shape): Fans {
  const taps = shape.slice(0, -2).reduce((product, dim) => product * dim, 1);
  return { fanIn: taps * (shape.at(-2) ?? 1), fanOut: taps * (shape.at(-1) ?? 1) };
}

/** New values for a parameter, in place: `nn.init.fill(layer.weight, 'heNormal')`. */
export function fill(parameter: Tensor, initializer: Initializer, fans: Fans = fansOf(parameter.shape)): void {
  const values = resolveInitializer(initializer)(parameter.shape, fans);
  parameter.assign(values);
  values.dispose();
}
