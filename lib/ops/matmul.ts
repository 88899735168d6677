import { differentiable, needsGradient } from '../autograd';
import { ConvgradError } from '../errors';
import { native, type EpilogueActivation } from '../native';
import { sizeOf, Tensor, type Shape } from '../tensor';
import { epilogueGradient, withActivation } from './epilogue';

export interface MatmulOptions {
  /** Whether the last two axes of `a` are swapped first. Default false. */
  transposeA?: boolean;
  /** Whether the last two axes of `b` are swapped first. Default false. */
  transposeB?: boolean;
  /** [N], added to every row. */
  bias?: Tensor | null;
  /** Added before the activation; of the output's shape. */
  residual?: Tensor | null;
  /** Applied to the result in the same pass. Default 'none'. */
  activation?: EpilogueActivation;
}

/**
 * Matrix product of the last two axes: `activation(a·b + bias + residual)`. The axes before are broadcast.
 *
 * @param a [..., M, K], or with transposeA [..., K, M]
 * @param b [..., K, N], or with transposeB [..., N, K]
 * @returns [..., M, N]
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false, bias = null, residual = null } = options;
  return withActivation(options.activation, [a, b, bias, residual], (activation) => {
    const y = product(a, b, transposeA, transposeB, bias, residual, activation);
    const [wantsBias, aShape, bShape] = [needsGradient(bias), a.shape, b.shape];
    const saved = {
      a: needsGradient(b) ? a : null,
      b: needsGradient(a) ? b : null,
      y: activation === 'none' ? null : y,
    };
    return differentiable('matmul', y, { a, b, bias, residual }, saved, (dy, { a, b, y }) => {
      const { dz, dbias } = epilogueGradient(dy, y, activation, wantsBias);
      return {
        a: () => gradientOfA(dz, b!, transposeA, transposeB, aShape),
        b: () => gradientOfB(a!, dz, transposeA, transposeB, bShape),
        bias: () => dbias!,
        residual: () => dz,
      };
    });
  });
}

export interface LinearOptions {
  /** Applied to the result in the same pass. Default 'none'. */
  activation?: EpilogueActivation;
}

/**
 * A dense layer: `activation(x·weight + bias)` over the last axis.
 *
 * @param x [..., I], of rank 2 or more
 * @param weight [I, O]
 * @param bias [O]
 * @returns [..., O]
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor | null, options: LinearOptions = {}): Tensor {
  const [features, wanted] = [x.shape.at(-1), weight.shape[0]];
  if (x.rank < 2 || weight.rank !== 2 || features !== wanted) {
    throw new ConvgradError(
      'ERR_SHAPE',
      `linear: weight [${weight.shape.join(', ')}] wants an input [..., ${wanted}], got [${x.shape.join(', ')}]`,
    );
  }
  return matmul(x, weight, { bias, activation: options.activation });
}

function product(
  a: Tensor,
  b: Tensor,
  transposeA: boolean,
  transposeB: boolean,
  bias: Tensor | null = null,
  residual: Tensor | null = null,
  activation: EpilogueActivation = 'none',
): Tensor {
  return new Tensor(
    native.matmul(
      a.handle,
      b.handle,
      bias?.handle ?? null,
      residual?.handle ?? null,
      transposeA,
      transposeB,
      activation,
    ),
  );
}

function gradientOfA(dz: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean, shape: Shape): Tensor {
  const da = transposeA ? product(b, dz, transposeB, true) : product(dz, b, false, !transposeB);
  return reduceTo(da, shape);
}

function gradientOfB(a: Tensor, dz: Tensor, transposeA: boolean, transposeB: boolean, shape: Shape): Tensor {
  if (sizeOf(shape) === shape.at(-1)! * shape.at(-2)! && !transposeA) {
    // One matrix for all rows of a: one product, and no sum over the leading axes.
    [a, dz] = [asMatrix(a), asMatrix(dz)];
  }
  const db = transposeB ? product(dz, a, true, transposeA) : product(a, dz, !transposeA, false);
  return reduceTo(db, shape);
}

function asMatrix(x: Tensor): Tensor {
  const columns = x.shape.at(-1)!;
  return new Tensor(native.reshape(x.handle, [x.size / columns, columns]));
}

/** Sums over the leading axes along which a matrix was broadcast. */
function reduceTo(gradient: Tensor, shape: Shape): Tensor {
  const missing = gradient.rank - shape.length;
  const axes = gradient.shape.flatMap((dim, axis) => (dim === (shape[axis - missing] ?? 1) ? [] : [axis]));
  const sum = axes.length > 0 ? new Tensor(native.reduce(gradient.handle, 'sum', axes, true, 0)) : gradient;
  return new Tensor(native.reshape(sum.handle, shape));
}
