import { differentiable, needsGradient } from '../autograd';
import { ConvgradError } from '../errors';
import type { EpilogueActivation } from '../native';
import { sameShape, type Shape, type Tensor } from '../tensor';
import { epilogueGradient, withActivation } from './epilogue';
import {
  backwardInput,
  backwardWeight,
  convParams,
  forward,
  type Conv2dGradientOptions,
  type ConvParams,
} from './convParams';
import { pairOf, type Pair } from './window';

const op = 'convTranspose2d';

export interface ConvTranspose2dOptions extends Conv2dGradientOptions {
  /** Added to the output's size, at the bottom and right: several sizes convolve to the same one. */
  outputPadding?: Pair;
  /** Applied to the result in the same pass. Default 'none'. */
  activation?: EpilogueActivation;
}

/**
 * Transposed convolution: the gradient of `conv2d` with respect to its input, as a layer. The output has
 * `(P - 1)·stride - padding + dilation·(R - 1) + 1 + outputPadding` rows. As in Keras it has P·stride with 'same' and no
 * outputPadding, at least P·stride with 'valid' and none, and 'same' with outputPadding takes half the kernel from each
 * side.
 *
 * @param x [N, P, Q, C]
 * @param weight [R, S, K / groups, C], as in Keras
 * @param bias [K]
 * @returns [N, H, W, K]
 */
export function convTranspose2d(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: ConvTranspose2dOptions = {},
): Tensor {
  const params = convParams(op, options);
  checkShapes(x.shape, weight.shape, bias?.shape, options.groups ?? 1);
  const outputShape = transposedShape(x.shape, weight.shape, params, options);
  return withActivation(options.activation, [x, weight, bias], (activation) => {
    const y = backwardInput(x, weight, outputShape, params, bias, activation);
    const [wantsBias, weightShape] = [needsGradient(bias), weight.shape];
    const saved = {
      x: needsGradient(weight) ? x : null,
      weight: needsGradient(x) ? weight : null,
      y: activation === 'none' ? null : y,
    };
    return differentiable(op, y, { x, weight, bias }, saved, (dy, { x, weight, y }) => {
      const { dz, dbias } = epilogueGradient(dy, y, activation, wantsBias);
      return {
        x: () => forward(dz, weight!, params),
        weight: () => backwardWeight(dz, x!, weightShape, params),
        bias: () => dbias!,
      };
    });
  });
}

function checkShapes(x: Shape, weight: Shape, bias: Shape | undefined, groups: number): void {
  const [input, kernel] = [`[${x.join(', ')}]`, `[${weight.join(', ')}]`];
  const fail = (message: string): never => {
    throw new ConvgradError('ERR_SHAPE', `${op}: ${message}`);
  };
  if (x.length !== 4) fail(`input must have 4 dimensions [N, P, Q, C], got ${input}`);
  if (weight.length !== 4) fail(`weight must have 4 dimensions [R, S, K / groups, C], got ${kernel}`);
  if (x[3] !== weight[3]) fail(`weight ${kernel} wants ${weight[3]} input channels, input ${input} has ${x[3]}`);
  if (weight[3]! % groups !== 0) {
    fail(`weight ${kernel} has ${weight[3]} input channels, which cannot be divided into ${groups} groups`);
  }
  const channels = weight[2]! * groups;
  if (bias && !sameShape(bias, [channels])) {
    fail(`bias must have shape [${channels}], one number an output channel, got [${bias.join(', ')}]`);
  }
}

function transposedShape(
  x: Shape,
  weight: Shape,
  [stride, padding, dilation, groups]: ConvParams,
  { padding: wanted = 'valid', outputPadding }: ConvTranspose2dOptions,
): Shape {
  const extra = outputPadding === undefined ? undefined : pairOf(op, 'outputPadding', outputPadding);
  const size = (axis: 0 | 1): number => {
    const extent = (weight[axis]! - 1) * dilation[axis]! + 1;
    const step = stride[axis]!;
    const count = x[axis + 1]!;
    const added = extra?.[axis] ?? 0;
    if (!Number.isInteger(added) || added < 0 || added >= Math.max(step, dilation[axis]!)) {
      throw new ConvgradError(
        'ERR_VALUE',
        `${op}: outputPadding must be an integer from 0 to less than the stride or the dilation, got ${added}`,
      );
    }
    if (wanted === 'same') {
      return extra ? (count - 1) * step + (extent % 2) + added : count * step; // extent - 2 · floor(extent / 2)
    }
    const before = padding[2 * axis]! + padding[2 * axis + 1]!;
    if (wanted === 'valid' && extra === undefined) return Math.max(count * step, (count - 1) * step + extent);
    return (count - 1) * step + extent - before + added;
  };
  const shape = [x[0]!, size(0), size(1), weight[2]! * groups];
  if (shape.some((dim) => dim < 1)) {
    throw new ConvgradError('ERR_SHAPE', `${op}: the padding leaves nothing of the output: [${shape.join(', ')}]`);
  }
  return shape;
}
