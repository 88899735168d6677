import type { Tensor } from '../tensor';
import { ActivatedLayer } from './activated';
import { Activation, ReLU, ReLU6, Sigmoid, Tanh } from './activationLayers';
import type { Epilogue } from './activations';
import type { Module } from './module';

/** The two layers as one operation, if the first can apply the second as it writes its output and no hook watches. */
export function fuse(layer: Module, next: Module): ((x: Tensor) => Tensor) | null {
  if (!(layer instanceof ActivatedLayer) || layer.activation.name !== 'linear') return null;
  const epilogue = epilogueOf(next);
  if (!epilogue || layer.hasHooks || next.hasHooks) return null;
  return (x) => layer.callWith(epilogue, x);
}

function epilogueOf(layer: Module): Epilogue | null {
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
