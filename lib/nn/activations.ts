import { lookUp } from '../names';
import {
  elu,
  exp,
  gelu,
  hardSigmoid,
  hardSilu,
  leakyRelu,
  logSoftmax,
  mul,
  relu,
  relu6,
  sigmoid,
  silu,
  softmax,
  softplus,
  tanh,
} from '../ops';
import type { Tensor } from '../tensor';

/** An activation by Keras's name (camelCase or snake_case), or any function of a tensor. */
export type Activation = string | ((x: Tensor) => Tensor);

/** Activations that convolutions and dense layers apply as they write their output. */
export type Epilogue = 'relu' | 'relu6' | 'sigmoid' | 'tanh' | 'silu';

const SELU_ALPHA = 1.6732632423543772;
const SELU_SCALE = 1.0507009873554805;

const functions = {
  linear: (x: Tensor) => x,
  relu,
  relu6,
  leakyRelu: (x: Tensor) => leakyRelu(x, 0.2),
  sigmoid,
  hardSigmoid,
  tanh,
  silu,
  hardSilu,
  gelu: (x: Tensor) => gelu(x),
  softplus: (x: Tensor) => softplus(x),
  elu: (x: Tensor) => elu(x),
  selu: (x: Tensor) => mul(elu(x, SELU_ALPHA), SELU_SCALE),
  exponential: exp,
  softmax: (x: Tensor) => softmax(x),
  logSoftmax: (x: Tensor) => logSoftmax(x),
} satisfies Record<string, (x: Tensor) => Tensor>;

const EPILOGUES: ReadonlySet<string> = new Set<Epilogue>(['relu', 'relu6', 'sigmoid', 'tanh', 'silu']);

/** The function of an activation, its name in camelCase (none for a function), and whether an op can apply it. */
export interface ResolvedActivation {
  apply: (x: Tensor) => Tensor;
  name: string | null;
  epilogue: Epilogue | null;
}

const named: Record<string, ResolvedActivation> = Object.fromEntries(
  Object.entries(functions).map(([name, apply]) => {
    return [name, { name, apply, epilogue: EPILOGUES.has(name) ? (name as Epilogue) : null }];
  }),
);
named['swish'] = named['silu']!;
named['hardSwish'] = named['hardSilu']!;

/** @throws ERR_VALUE naming the layer when there is no activation of that name */
export function resolveActivation(layer: string, activation: Activation | null | undefined): ResolvedActivation {
  if (typeof activation === 'function') return { apply: activation, name: null, epilogue: null };
  return lookUp(named, activation ?? 'linear', `${layer}: activation`);
}
