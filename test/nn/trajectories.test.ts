import { describe, expect, it } from 'vitest';
import { crossEntropy, layers, nn, noGrad, relu, reshape, slice, square, sum, tidy, type Tensor } from '../../lib';
import { loadTrajectory, loadTrajectoryTensors, type TrajectoryModel } from '../fixtures/load';
import { expectClose } from '../support/compare';

class SimpleCNN extends nn.Module {
  conv1 = new nn.Conv2d(3, 32, { kernelSize: 3, padding: 1 });
  pool = new nn.MaxPool2d(2);
  conv2 = new nn.Conv2d(32, 64, { kernelSize: 3 });
  fc1 = new nn.Linear(64 * 6 * 6, 64);
  fc2 = new nn.Linear(64, 10);

  forward(x: Tensor): Tensor {
    x = this.pool(relu(this.conv1(x)));
    x = this.pool(relu(this.conv2(x)));
    x = nn.functional.flatten(x);
    return this.fc2(relu(this.fc1(x)));
  }
}

const models: Record<TrajectoryModel, () => nn.Module> = {
  'simple-cnn': () => new SimpleCNN(),
  'keras-cnn': () =>
    new nn.Sequential(
      layers.conv2d({ name: 'conv1', filters: 32, kernelSize: 3, activation: 'relu', inputShape: [32, 32, 3] }),
      layers.maxPooling2d({ poolSize: 2 }),
      layers.conv2d({ name: 'conv2', filters: 64, kernelSize: 3, activation: 'relu' }),
      layers.maxPooling2d({ poolSize: 2 }),
      layers.flatten(),
      layers.dense({ name: 'fc1', units: 64, activation: 'relu' }),
      layers.dense({ name: 'fc2', units: 10, activation: 'softmax' }),
    ),
};

describe.each(Object.keys(models) as TrajectoryModel[])('%s', (name) => {
  it('starts as PyTorch does: logits, loss and every gradient', async () => {
    const { firstStep, runs } = loadTrajectory(name);
    const { weights, images, labels } = await loadTrajectoryTensors(name);
    const model = models[name]();
    model.loadStateDict(weights);
    tidy(() => {
      const x = new nn.Rescaling(1 / 255)(first(images));
      const logits = model.finalActivation ? model.logits(x) : (model(x) as Tensor);
      expectClose(logits, firstStep.logits.flat(), { relative: 1e-5 });
      const loss = crossEntropy(logits, first(labels));
      expectClose(loss, [runs[0]!.losses[0]!], { relative: 1e-6 });
      loss.backward();
      for (const [path, { grad }] of model.namedParameters()) {
        const norm = Math.sqrt(noGrad(() => sum(square(grad!)).item()));
        expectClose([norm], [firstStep.gradNorms[path]!], { relative: 1e-5 }, path);
      }
    });
    expect([...weights.keys()].sort()).toEqual([...model.stateDict().keys()].sort());
  });
});

/** The first of 20 batches. */
function first<T extends Tensor<'uint8'> | Tensor<'int32'>>(batches: T): T {
  const [, ...shape] = batches.shape;
  const batch = slice(batches as Tensor<'uint8'>, [0], [1]);
  return reshape(batch, shape) as T;
}
