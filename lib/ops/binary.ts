import { differentiable } from '../autograd';
import { native, type BinaryFunction, type CompareFunction, type DType } from '../native';
import { Tensor } from '../tensor';
import { sumTo } from './broadcast';

/** An operand: a tensor, or a number that stands for a tensor filled with it. */
export type Operand<D extends DType = 'float32'> = Tensor<D> | number;
/** The dtypes that arithmetic is defined for. */
export type Arithmetic = 'float32' | 'int32';

type Side = 'a' | 'b';

/** Which operands the gradient for each operand is computed from. */
const NEEDED_BY: Record<BinaryFunction, Record<Side, readonly Side[]>> = {
  add: { a: [], b: [] },
  sub: { a: [], b: [] },
  mul: { a: ['b'], b: ['a'] },
  div: { a: ['b'], b: ['a', 'b'] },
  pow: { a: ['a', 'b'], b: ['a', 'b'] },
  maximum: { a: ['a', 'b'], b: ['a', 'b'] },
  minimum: { a: ['a', 'b'], b: ['a', 'b'] },
};

const tensorOf = (x: Operand<DType>) => (typeof x === 'number' ? null : x);
const handleOf = (x: Operand<DType>) => (typeof x === 'number' ? null : x.handle);
const shapeOf = (x: Operand<DType>) => (typeof x === 'number' ? [] : x.shape);
/** The value of the operand that is a number, if one is. */
const numberOf = (a: Operand<DType>, b: Operand<DType>) => (typeof a === 'number' ? a : typeof b === 'number' ? b : 0);

function apply<D extends DType>(fn: BinaryFunction, a: Operand<D>, b: Operand<D>): Tensor<D> {
  return new Tensor<D>(native.binary(handleOf(a), handleOf(b), fn, numberOf(a, b)));
}

/** The gradient for one operand, in the shape of the output. */
function gradientFor(side: Side, fn: BinaryFunction, dy: Tensor, a: Operand, b: Operand): Tensor {
  if (fn === 'add' || (fn === 'sub' && side === 'a')) return dy;
  if (fn === 'sub') return apply('mul', dy, -1);
  if (fn === 'mul') return apply('mul', dy, side === 'a' ? b : a);
  if (fn === 'div' && side === 'a') return apply('div', dy, b);
  return new Tensor(native.binaryBackward(handleOf(a), handleOf(b), dy.handle, fn, side, numberOf(a, b)));
}

function binary<D extends Arithmetic>(fn: BinaryFunction, a: Operand<D>, b: Operand<D>): Tensor<D> {
  const y = apply(fn, a, b);
  const inputs = { a: tensorOf(a), b: tensorOf(b) };
  const needed = new Set(
    (['a', 'b'] as const).flatMap((side) => (inputs[side]?.requiresGrad ? NEEDED_BY[fn][side] : [])),
  );
  const saved = { a: needed.has('a') ? inputs.a : null, b: needed.has('b') ? inputs.b : null };
  const shapes = { a: shapeOf(a), b: shapeOf(b) };
  differentiable(fn, y as Tensor<DType> as Tensor, inputs, saved, (dy, saved) => {
    // What is not saved is a number, or is not needed for the gradients that are asked for.
    const operands = { a: saved.a ?? numberOf(a, b), b: saved.b ?? numberOf(a, b) } as Record<Side, Operand>;
    const gradient = (side: Side) => () => sumTo(gradientFor(side, fn, dy, operands.a, operands.b), shapes[side]);
    return { a: gradient('a'), b: gradient('b') };
  });
  return y;
}

/** `a + b`, elementwise with broadcasting, as all functions here. int32 wraps around. */
export const add = <D extends Arithmetic = 'float32'>(a: Operand<D>, b: Operand<D>): Tensor<D> => binary('add', a, b);
/** `a - b` */
export const sub = <D extends Arithmetic = 'float32'>(a: Operand<D>, b: Operand<D>): Tensor<D> => binary('sub', a, b);
/** `a · b`, elementwise; `matmul` is the product of matrices. */
export const mul = <D extends Arithmetic = 'float32'>(a: Operand<D>, b: Operand<D>): Tensor<D> => binary('mul', a, b);
/** `a / b`; float32 only. */
export const div = (a: Operand, b: Operand): Tensor => binary('div', a, b);
/** `a` to the power of `b`; float32 only. A negative base has a result for integer exponents only, else NaN. */
export const pow = (a: Operand, b: Operand): Tensor => binary('pow', a, b);
/** The larger of both, NaN if either is. Where they are equal, each gets half of the gradient. */
export const maximum = <D extends Arithmetic = 'float32'>(a: Operand<D>, b: Operand<D>): Tensor<D> =>
  binary('maximum', a, b);
/** The smaller of both, NaN if either is. Where they are equal, each gets half of the gradient. */
export const minimum = <D extends Arithmetic = 'float32'>(a: Operand<D>, b: Operand<D>): Tensor<D> =>
  binary('minimum', a, b);

function compare<D extends DType>(fn: CompareFunction, a: Operand<D>, b: Operand<D>): Tensor<'uint8'> {
  return new Tensor<'uint8'>(native.compare(handleOf(a), handleOf(b), fn, numberOf(a, b)));
}

/** 1 where `a === b`, else 0, with broadcasting, as all comparisons. NaN is not equal to anything. */
export const equal = <D extends DType>(a: Operand<D>, b: Operand<D>): Tensor<'uint8'> => compare('equal', a, b);
/** 1 where `a !== b`, else 0. NaN differs from everything. */
export const notEqual = <D extends DType>(a: Operand<D>, b: Operand<D>): Tensor<'uint8'> => compare('notEqual', a, b);
/** 1 where `a > b`, else 0. */
export const greater = <D extends DType>(a: Operand<D>, b: Operand<D>): Tensor<'uint8'> => compare('greater', a, b);
/** 1 where `a >= b`, else 0. */
export const greaterEqual = <D extends DType>(a: Operand<D>, b: Operand<D>): Tensor<'uint8'> =>
  compare('greaterEqual', a, b);
/** 1 where `a < b`, else 0. */
export const less = <D extends DType>(a: Operand<D>, b: Operand<D>): Tensor<'uint8'> => compare('less', a, b);
/** 1 where `a <= b`, else 0. */
export const lessEqual = <D extends DType>(a: Operand<D>, b: Operand<D>): Tensor<'uint8'> => compare('lessEqual', a, b);

/** `a` where the condition is not 0, else `b`, with broadcasting. At least one of `a` and `b` is a tensor. */
export function where<D extends DType = 'float32'>(
  condition: Tensor<'uint8'>,
  a: Operand<D>,
  b: Operand<D>,
): Tensor<D> {
  const select = (condition: Tensor<'uint8'>, a: Operand<D>, b: Operand<D>) =>
    new Tensor<D>(
      native.where(
        condition.handle,
        handleOf(a),
        handleOf(b),
        typeof a === 'number' ? a : 0,
        typeof b === 'number' ? b : 0,
      ),
    );
  const y = select(condition, a, b);
  const shapes = { a: shapeOf(a), b: shapeOf(b) };
  const inputs = { a: tensorOf(a), b: tensorOf(b) };
  differentiable('where', y as Tensor<DType> as Tensor, inputs, { condition }, (dy, { condition }) => ({
    a: () => sumTo(select(condition, dy as Tensor<DType> as Tensor<D>, 0) as Tensor<DType> as Tensor, shapes.a),
    b: () => sumTo(select(condition, 0, dy as Tensor<DType> as Tensor<D>) as Tensor<DType> as Tensor, shapes.b),
  }));
  return y;
}
