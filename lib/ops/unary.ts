import { differentiable } from '../autograd';
import { native, type UnaryFunction } from '../native';
import { Tensor } from '../tensor';

/** Functions whose derivative follows from their value, so that the tape keeps the output and not the input. */
const SAVES_OUTPUT: ReadonlySet<UnaryFunction> = new Set<UnaryFunction>([
  'relu',
  'relu6',
  'sigmoid',
  'tanh',
  'exp',
  'sqrt',
  'rsqrt',
  'reciprocal',
]);

function unary(fn: UnaryFunction, x: Tensor, alpha = 0, beta = 0): Tensor {
  const y = new Tensor(native.unary(x.handle, fn, alpha, beta));
  const saved: { input?: Tensor; output?: Tensor } = SAVES_OUTPUT.has(fn) ? { output: y } : { input: x };
  return differentiable(fn, y, { x }, saved, (dy, { input, output }) => ({
    x: () => new Tensor(native.unaryBackward((output ?? input)!.handle, dy.handle, fn, alpha, beta)),
  }));
}

/** `x < 0 ? 0 : x`; NaN stays NaN. */
export const relu = (x: Tensor): Tensor => unary('relu', x);
/** relu, at most 6. */
export const relu6 = (x: Tensor): Tensor => unary('relu6', x);
/** `x < 0 ? slope · x : x` */
export const leakyRelu = (x: Tensor, slope = 0.01): Tensor => unary('leakyRelu', x, slope);
/** `1 / (1 + e^-x)` */
export const sigmoid = (x: Tensor): Tensor => unary('sigmoid', x);
/** `(e^x - e^-x) / (e^x + e^-x)` */
export const tanh = (x: Tensor): Tensor => unary('tanh', x);
/** `x · sigmoid(x)`, also known as swish. */
export const silu = (x: Tensor): Tensor => unary('silu', x);
/** `x · relu6(x + 3) / 6`, also known as hard swish. */
export const hardSilu = (x: Tensor): Tensor => unary('hardSilu', x);
/** `relu6(x + 3) / 6` */
export const hardSigmoid = (x: Tensor): Tensor => unary('hardSigmoid', x);
/** `x · Φ(x)`, exact or with the tanh approximation. */
export const gelu = (x: Tensor, { approximate = false }: { approximate?: boolean } = {}): Tensor =>
  unary(approximate ? 'geluTanh' : 'gelu', x);
/** `log(1 + e^x)` */
export const softplus = (x: Tensor): Tensor => unary('softplus', x);
/** `x < 0 ? alpha · (e^x - 1) : x` */
export const elu = (x: Tensor, alpha = 1): Tensor => unary('elu', x, alpha);
/** `e^x` */
export const exp = (x: Tensor): Tensor => unary('exp', x);
/** Natural logarithm: -inf at 0, NaN below. */
export const log = (x: Tensor): Tensor => unary('log', x);
/** `√x`; NaN below 0, and the derivative at 0 is infinite. */
export const sqrt = (x: Tensor): Tensor => unary('sqrt', x);
/** `1 / √x` */
export const rsqrt = (x: Tensor): Tensor => unary('rsqrt', x);
/** `x²` */
export const square = (x: Tensor): Tensor => unary('square', x);
/** `-x` */
export const neg = (x: Tensor): Tensor => unary('neg', x);
/** `|x|`; the derivative at 0 is 0. */
export const abs = (x: Tensor): Tensor => unary('abs', x);
/** `1 / x` */
export const reciprocal = (x: Tensor): Tensor => unary('reciprocal', x);
/** -1, 0 or 1. Its derivative is 0. */
export const sign = (x: Tensor): Tensor => unary('sign', x);
/** x limited to [low, high]; the derivative is 1 inside and at the bounds. */
export const clip = (x: Tensor, low: number, high: number): Tensor => unary('clip', x, low, high);
