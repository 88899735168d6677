import type { Arithmetic, Axes, DropoutOptions, Operand, VarianceOptions } from './ops';
import * as ops from './ops';
import { Tensor, type DType, type Shape } from './tensor';

/** Dimensions one by one, or as an array. */
type Dimensions = [shape: Shape] | number[];

declare module './tensor' {
  interface Tensor<D extends DType = 'float32'> {
    add<A extends Arithmetic>(this: Tensor<A>, other: Operand<A>): Tensor<A>;
    sub<A extends Arithmetic>(this: Tensor<A>, other: Operand<A>): Tensor<A>;
    mul<A extends Arithmetic>(this: Tensor<A>, other: Operand<A>): Tensor<A>;
    div(this: Tensor, other: Operand): Tensor;
    pow(this: Tensor, exponent: Operand): Tensor;
    maximum<A extends Arithmetic>(this: Tensor<A>, other: Operand<A>): Tensor<A>;
    minimum<A extends Arithmetic>(this: Tensor<A>, other: Operand<A>): Tensor<A>;
    equal(other: Operand<D>): Tensor<'uint8'>;
    notEqual(other: Operand<D>): Tensor<'uint8'>;
    greater(other: Operand<D>): Tensor<'uint8'>;
    greaterEqual(other: Operand<D>): Tensor<'uint8'>;
    less(other: Operand<D>): Tensor<'uint8'>;
    lessEqual(other: Operand<D>): Tensor<'uint8'>;

    neg(this: Tensor): Tensor;
    abs(this: Tensor): Tensor;
    sign(this: Tensor): Tensor;
    square(this: Tensor): Tensor;
    sqrt(this: Tensor): Tensor;
    rsqrt(this: Tensor): Tensor;
    reciprocal(this: Tensor): Tensor;
    exp(this: Tensor): Tensor;
    log(this: Tensor): Tensor;
    clip(this: Tensor, low: number, high: number): Tensor;
    relu(this: Tensor): Tensor;
    relu6(this: Tensor): Tensor;
    leakyRelu(this: Tensor, slope?: number): Tensor;
    sigmoid(this: Tensor): Tensor;
    tanh(this: Tensor): Tensor;
    silu(this: Tensor): Tensor;
    hardSilu(this: Tensor): Tensor;
    hardSigmoid(this: Tensor): Tensor;
    gelu(this: Tensor, options?: { approximate?: boolean }): Tensor;
    softplus(this: Tensor): Tensor;
    elu(this: Tensor, alpha?: number): Tensor;
    softmax(this: Tensor, axis?: number): Tensor;
    logSoftmax(this: Tensor, axis?: number): Tensor;
    dropout(this: Tensor, rate: number, options?: DropoutOptions): Tensor;

    sum<A extends Arithmetic>(this: Tensor<A>, axes?: Axes, keepDims?: boolean): Tensor<A>;
    mean(this: Tensor, axes?: Axes, keepDims?: boolean): Tensor;
    max<A extends Arithmetic>(this: Tensor<A>, axes?: Axes, keepDims?: boolean): Tensor<A>;
    min<A extends Arithmetic>(this: Tensor<A>, axes?: Axes, keepDims?: boolean): Tensor<A>;
    argMax(this: Tensor, axis?: number, keepDims?: boolean): Tensor<'int32'>;
    argMin(this: Tensor, axis?: number, keepDims?: boolean): Tensor<'int32'>;
    variance(this: Tensor, axes?: Axes, options?: VarianceOptions): Tensor;
    std(this: Tensor, axes?: Axes, options?: VarianceOptions): Tensor;
    norm(this: Tensor, axes?: Axes, keepDims?: boolean): Tensor;

    /** Takes the dimensions as an array or, as in PyTorch, one by one: `x.reshape(-1, 64)`. */
    reshape(...shape: Dimensions): Tensor<D>;
    view(...shape: Dimensions): Tensor<D>;
    flatten(startAxis?: number): Tensor<D>;
    squeeze(axes?: number | readonly number[]): Tensor<D>;
    expandDims(axis: number): Tensor<D>;
    transpose(permutation?: readonly number[]): Tensor<D>;
    slice(begin: readonly number[], size?: readonly number[], strides?: readonly number[]): Tensor<D>;
    flip(axes: number | readonly number[]): Tensor<D>;
    pad(paddings: readonly (readonly [before: number, after: number])[], value?: number): Tensor<D>;
    split(parts: number | readonly number[], axis?: number): Tensor<D>[];
    gather(indices: Tensor<'int32'>, axis?: number): Tensor<D>;
    oneHot(this: Tensor<'int32'>, depth: number): Tensor;
    cast<T extends DType>(dtype: T): Tensor<T>;
    tile(repetitions: readonly number[]): Tensor<D>;
    broadcastTo(shape: Shape): Tensor<D>;
  }
}

/** The ops that are methods, by name. */
const METHODS = [
  ...(['add', 'sub', 'mul', 'div', 'pow', 'maximum', 'minimum'] as const),
  ...(['equal', 'notEqual', 'greater', 'greaterEqual', 'less', 'lessEqual'] as const),
  ...(['neg', 'abs', 'sign', 'square', 'sqrt', 'rsqrt', 'reciprocal', 'exp', 'log', 'clip'] as const),
  ...(['relu', 'relu6', 'leakyRelu', 'sigmoid', 'tanh', 'silu', 'hardSilu', 'hardSigmoid', 'gelu'] as const),
  ...(['softplus', 'elu', 'softmax', 'logSoftmax', 'dropout'] as const),
  ...(['sum', 'mean', 'max', 'min', 'argMax', 'argMin', 'variance', 'std', 'norm'] as const),
  ...(['flatten', 'squeeze', 'expandDims', 'transpose', 'slice', 'flip', 'pad', 'split'] as const),
  ...(['gather', 'oneHot', 'cast', 'tile', 'broadcastTo'] as const),
] satisfies (keyof typeof ops & keyof Tensor)[];

for (const name of METHODS) {
  const op = ops[name] as (x: Tensor<DType>, ...rest: unknown[]) => unknown;
  define(name, (x, ...rest) => op(x, ...rest));
}
for (const name of ['reshape', 'view'] as const) {
  define(name, (x, ...shape) => ops[name](x, (Array.isArray(shape[0]) ? shape[0] : shape) as Shape));
}

function define(name: string, method: (x: Tensor<DType>, ...rest: unknown[]) => unknown): void {
  Object.defineProperty(Tensor.prototype, name, {
    value(this: Tensor<DType>, ...rest: unknown[]) {
      return method(this, ...rest);
    },
    configurable: true,
    writable: true,
  });
}
