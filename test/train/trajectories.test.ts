import { describe, expect, test } from 'vitest';
import {
  cast,
  crossEntropy,
  div,
  layers,
  losses,
  nn,
  optim,
  relu,
  reshape,
  slice,
  softmax,
  tidy,
  type Tensor,
} from '../../lib';
import { Trainer } from '../../lib/train/trainer';
import {
  loadTrajectory,
  loadTrajectoryTensors,
  type Trajectory,
  type TrajectoryRun,
  type TrajectoryTensors,
} from '../fixtures/load';

const STEPS = 20;
const TOLERANCE = 1e-4;

/** The optimizer of a run. Those of Keras are the ones that `compile` makes from names. */
function optimizerOf({ optimizer, options }: TrajectoryRun, parameters: optim.Parameters): optim.Optimizer {
  switch (optimizer) {
    case 'sgd':
      return new optim.SGD(parameters, options);
    case 'adam':
      return new optim.Adam(parameters, options);
    case 'adamw':
      return new optim.AdamW(parameters, options);
    case 'rmsprop':
      return new optim.RMSprop(parameters, options);
    case 'keras-adam':
      return new optim.Adam(parameters, { ...options, kerasEpsilon: true });
    case 'keras-rmsprop':
      return new optim.RMSprop(parameters, { ...options, kerasEpsilon: true });
  }
}

const kerasNames = { 'keras-adam': 'adam', 'keras-rmsprop': 'rmsprop' } as const;

function expectSame(actual: number[], { losses, name }: TrajectoryRun): void {
  expect(actual).toHaveLength(STEPS);
  for (const [step, loss] of losses.entries()) {
    const error = Math.abs(actual[step]! - loss) / loss;
    if (!(error <= TOLERANCE)) expect.fail(`${name}: loss ${step} is ${actual[step]}, wanted ${loss}, off by ${error}`);
  }
}

/** The batch of a step: images from 0 to 1. Disposed by the caller. */
function batchOf({ images, labels }: TrajectoryTensors, step: number): { x: Tensor; y: Tensor<'int32'> } {
  return tidy(() => {
    const [, batch, ...shape] = images.shape as [number, number, ...number[]];
    const bytes = reshape(slice(images, [step], [1]), [batch, ...shape]);
    return { x: div(cast(bytes, 'float32'), 255), y: reshape(slice(labels, [step], [1]), [batch]) };
  });
}

/** PyTorch's face: the reference's SimpleCNN, whose softmax is left to the loss or not. */
class SimpleCNN extends nn.Module {
  conv1: nn.Conv2d;
  conv2 = new nn.Conv2d(32, 64, { kernelSize: 3 });
  pool = new nn.MaxPool2d(2);
  fc1 = new nn.Linear(64 * 6 * 6, 64);
  fc2 = new nn.Linear(64, 10);

  constructor(
    padding: number,
    private readonly endsInSoftmax: boolean,
  ) {
    super();
    this.conv1 = new nn.Conv2d(3, 32, { kernelSize: 3, padding });
  }

  forward(input: Tensor): Tensor {
    let x = this.pool(relu(this.conv1(input)));
    x = this.pool(relu(this.conv2(x)));
    x = relu(this.fc1(reshape(x, [-1, 64 * 6 * 6])));
    x = this.fc2(x);
    return this.endsInSoftmax ? softmax(x) : x;
  }
}

/** Keras's face. Its weights are in the order of the reference's. */
function sequential({ side, conv1Padding }: Trajectory, weights: TrajectoryTensors['weights']): nn.Sequential {
  const model = new nn.Sequential([
    layers.conv2d({
      filters: 32,
      kernelSize: 3,
      padding: conv1Padding === 0 ? 'valid' : 'same',
      activation: 'relu',
      inputShape: [side, side, 3],
    }),
    layers.maxPooling2d({ poolSize: 2 }),
    layers.conv2d({ filters: 64, kernelSize: 3, activation: 'relu' }),
    layers.maxPooling2d({ poolSize: 2 }),
    layers.flatten(),
    layers.dense({ units: 64, activation: 'relu' }),
    layers.dense({ units: 10, activation: 'softmax' }),
  ]);
  const names = [
    'conv1.weight',
    'conv1.bias',
    'conv2.weight',
    'conv2.bias',
    'fc1.weight',
    'fc1.bias',
    'fc2.weight',
    'fc2.bias',
  ];
  const own = [...model.stateDict().keys()];
  model.loadStateDict(new Map(own.map((name, i) => [name, weights.get(names[i]!)!])));
  return model;
}

async function train(
  step: (x: Tensor, y: Tensor<'int32'>) => Promise<number>,
  tensors: TrajectoryTensors,
): Promise<number[]> {
  const result: number[] = [];
  for (let i = 0; i < STEPS; i++) {
    const { x, y } = batchOf(tensors, i);
    result.push(await step(x, y));
    x.dispose();
    y.dispose();
  }
  return result;
}

for (const name of ['keras-cnn', 'simple-cnn'] as const) {
  describe(`${name}: the losses of the reference`, async () => {
    const trajectory = loadTrajectory(name);
    const tensors = await loadTrajectoryTensors(name);

    for (const run of trajectory.runs) {
      test(`${run.name}: Sequential, compiled`, async () => {
        using model = sequential(trajectory, tensors.weights);
        const keras = kerasNames[run.optimizer as keyof typeof kerasNames];
        model.compile({
          optimizer: keras ? { name: keras, ...run.options } : (parameters) => optimizerOf(run, parameters),
          loss: 'sparse_categorical_crossentropy',
          metrics: ['accuracy'],
        });
        expectSame(await train(async (x, y) => (await model.trainOnBatch(x, y))['loss']!, tensors), run);
      });

      test(`${run.name}: a Module and a loop of one's own`, async () => {
        using model = new SimpleCNN(trajectory.conv1Padding, false);
        model.loadStateDict(tensors.weights);
        using optimizer = optimizerOf(run, model.namedParameters());
        const step = async (x: Tensor, y: Tensor<'int32'>): Promise<number> => {
          using loss = tidy(() => {
            optimizer.zeroGrad();
            const value = crossEntropy(model(x), y);
            value.backward();
            optimizer.step();
            return value.detach();
          });
          return (await loss.data())[0]!;
        };
        expectSame(await train(step, tensors), run);
        optimizer.zeroGrad();
      });

      test.each(['logits', 'probabilities'])(`${run.name}: a Module that gives %s, and Trainer.fit`, async (kind) => {
        using model = new SimpleCNN(trajectory.conv1Padding, kind === 'probabilities');
        model.loadStateDict(tensors.weights);
        const trainer = new Trainer(model, {
          optimizer: optimizerOf(run, model.namedParameters()),
          loss: kind === 'logits' ? new nn.CrossEntropyLoss() : losses.sparseCategoricalCrossentropy(),
        });
        // Each epoch is one batch, so that the history has the loss of each step.
        const batches = function* () {
          for (let i = 0; i < STEPS; i++) yield batchOf(tensors, i);
        };
        const { history } = await trainer.fit(batches, { epochs: STEPS, stepsPerEpoch: 1, verbose: 0 });
        expectSame(history['loss']!, run);
      });
    }
  });
}
