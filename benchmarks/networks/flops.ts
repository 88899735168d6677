import { nn, noGrad, tidy, zeros, type Shape, type Tensor } from '../../lib';

/**
 * Floating-point operations of convolutions and dense layers for one image, two for a multiplication and an addition.
 * Training adds the gradients of weights that are not frozen, and those of the inputs of layers behind such weights.
 * @param inputShape of an image
 */
export function flopsOfNetwork(model: nn.Module, inputShape: Shape, isTraining: boolean): number {
  let flops = 0;
  let isBehindTrained = false;
  const count = (layer: nn.Conv2d | nn.Linear, output: Tensor): void => {
    const forward = (2 * output.size * layer.weight.size) / output.shape.at(-1)!;
    const passes = isTraining ? 1 + Number(layer.trainable) + Number(isBehindTrained) : 1;
    isBehindTrained ||= layer.trainable;
    flops += passes * forward;
  };
  const layers = model.modules().filter((layer) => layer instanceof nn.Conv2d || layer instanceof nn.Linear);
  const removers = layers.map((layer) => layer.registerForwardHook((_, __, output) => count(layer, output as Tensor)));
  try {
    model.eval();
    tidy(() => noGrad(() => void model(zeros([1, ...inputShape]))));
  } finally {
    for (const remove of removers) remove();
  }
  return flops;
}
