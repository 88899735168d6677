import { reshape, tidy, transpose, type DType, type nn, type Tensor } from '../../lib';
import type { Network } from '.';

/**
 * Copies the weights of the same network in PyTorch: convolutions from OIHW to HWIO, dense layers from [out, in] to
 * [in, out].
 */
export function loadTorchWeights(
  model: nn.Module,
  weights: ReadonlyMap<string, Tensor<DType>>,
  flattened: Network['flattened'],
): void {
  tidy(() => {
    const state = new Map<string, Tensor<DType>>();
    for (const [name, value] of weights) {
      if (name.endsWith('num_batches_tracked')) continue;
      const ours = name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
      if (value.rank === 4) state.set(ours, transpose(value, [2, 3, 1, 0]));
      else if (value.rank !== 2) state.set(ours, value);
      else if (ours !== flattened?.[0]) state.set(ours, transpose(value));
      else {
        const [h, w, c] = flattened[1];
        const images = reshape(value, [-1, c, h, w]); // dense weights see a flattened image
        state.set(ours, reshape(transpose(images, [2, 3, 1, 0]), [h * w * c, -1]));
      }
    }
    model.loadStateDict(state);
  });
}
