import { conv2dMaxPool } from '../ops';
import { windowParams, windowsIn } from '../ops/convParams';
import type { Tensor } from '../tensor';
import { ActivatedLayer } from './activated';
import { Activation, ReLU, ReLU6, Sigmoid, Tanh } from './activationLayers';
import type { Epilogue } from './activations';
import { Conv2d } from './conv2d';
import type { Module } from './module';
import { isChannelsFirst } from './options';
import { MaxPool2d } from './pooling';

/** The most layers that become one operation. */
export const MOST_FUSED = 3;

export interface Fused {
  /** How many layers `run` stands for. */
  length: number;
  run: (x: Tensor) => Tensor;
}

/**
 * The first of these layers, which follow each other, as one operation; null if each must run by itself. A convolution or
 * dense layer takes the activation after it into its epilogue, and a convolution a max pooling of 2x2 windows after that.
 * Layers that a hook watches are left alone.
 */
export function fuse([layer, ...next]: readonly Module[]): Fused | null {
  if (!(layer instanceof ActivatedLayer) || layer.hasHooks) return null;
  const epilogue = layer.activation.name === 'linear' && next[0] ? epilogueOf(next[0]) : null;
  const activated: Fused | null = epilogue ? { length: 2, run: (x) => layer.callWith(epilogue, x) } : null;
  return fusePool(layer, epilogue, activated, next[epilogue ? 1 : 0]) ?? activated;
}

function fusePool(
  layer: ActivatedLayer,
  epilogue: Epilogue | null,
  activated: Fused | null,
  pool: Module | undefined,
): Fused | null {
  if (!(pool instanceof MaxPool2d && pool.constructor === MaxPool2d && isTwoByTwo(pool)) || pool.hasHooks) return null;
  if (!(layer instanceof Conv2d && layer.constructor === Conv2d && isPlain(layer))) return null;
  const activation = epilogue ?? (layer.activation.name === 'linear' ? 'none' : layer.activation.epilogue);
  if (activation !== 'none' && activation !== 'relu' && activation !== 'relu6') return null;
  const apart = (x: Tensor): Tensor => pool.call(activated ? activated.run(x) : layer.call(x));
  return {
    length: (activated?.length ?? 1) + 1,
    run: (x) => (hasWindow(layer, x) ? layer.callAs((x) => maximaOf(layer, activation, x), pool, x) : apart(x)),
  };
}

function epilogueOf(layer: Module): Epilogue | null {
  if (layer.hasHooks) return null;
  // The class itself: a subclass may compute something else.
  switch (layer.constructor) {
    case ReLU:
      return 'relu';
    case ReLU6:
      return 'relu6';
    case Sigmoid:
      return 'sigmoid';
    case Tanh:
      return 'tanh';
    case Activation:
      return (layer as Activation).activation.epilogue;
    default:
      return null;
  }
}

function isTwoByTwo({ kernelSize, stride, padding, ceilMode, dataFormat }: MaxPool2d): boolean {
  const isTwo = (pair: typeof kernelSize): boolean => [pair].flat().every((size) => size === 2);
  const isNone = padding === 'valid' || (Array.isArray(padding) ? padding : [padding]).flat().every((p) => p === 0);
  return isTwo(kernelSize) && isTwo(stride) && isNone && !ceilMode && !isChannelsFirst(dataFormat);
}

function isPlain({ groups, dataFormat }: Conv2d): boolean {
  return groups === 1 && !isChannelsFirst(dataFormat);
}

/** Whether the convolution of x has a window to pool: else the pooling itself says what does not fit. */
function hasWindow(conv: Conv2d, x: Tensor): boolean {
  if (x.rank !== 4) return false;
  const [rows, columns] = windowsIn(x.shape.slice(1, 3), conv.kernelSize, windowParams('Conv2d', conv));
  return rows >= 2 && columns >= 2;
}

function maximaOf(conv: Conv2d, activation: 'none' | 'relu' | 'relu6', x: Tensor): Tensor {
  const { stride, padding, dilation } = conv;
  return conv2dMaxPool(x, conv.weight, conv.bias, { stride, padding, dilation, activation });
}
