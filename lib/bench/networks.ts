import { conv2d, dense, flatten, maxPooling2d } from '../layers';
import * as nn from '../nn';
import { relu, softmax, view } from '../ops';
import { randomInt, randomUniform } from '../random';
import type { Tensor } from '../tensor';
import { Trainer } from '../train';
import { measureBlocks, type Blocks } from './eventLoop';
import { measure, type MeasureOptions } from './measure';
import { networkProblems, type NetworkProblem } from './problems';
import { formatTable } from './table';

/** Images of the epoch that training is measured on. */
export const EPOCH_IMAGES = 1024;

export interface NetworkResult {
  problem: string;
  kind: 'train' | 'predict';
  /** Median milliseconds of an epoch, or of a call of `predict`. */
  ms: number;
  imagesPerSecond: number;
}

export interface NetworksReport {
  results: NetworkResult[];
  /** For how long an epoch of the Keras CNN, batch 32, kept the event loop. */
  blocks: Blocks;
}

/** Measures training and prediction of whole networks; `onResult` is called after each. */
export async function benchNetworks(
  options: MeasureOptions = {},
  onResult?: (result: NetworkResult) => void,
): Promise<NetworksReport> {
  const results: NetworkResult[] = [];
  for (const problem of networkProblems) {
    const { kind, network, batchSize } = problem;
    const ms = await measureNetwork(problem, options);
    const images = kind === 'train' ? EPOCH_IMAGES : batchSize;
    const result = { problem: `${network}, batch ${batchSize}`, kind, ms, imagesPerSecond: (1e3 * images) / ms };
    results.push(result);
    onResult?.(result);
  }
  return { results, blocks: await blocksOfTraining() };
}

export function networksTable({ results, blocks }: NetworksReport): string {
  const rows = results.map(({ problem, kind, ms, imagesPerSecond }) => [
    problem,
    kind === 'train' ? 'train' : 'predict',
    ms.toFixed(2),
    imagesPerSecond.toFixed(0),
  ]);
  const table = formatTable(['network', '', 'ms', 'images/s'], rows);
  const { longest, p99 } = blocks;
  return `${table}\n\nblocks of the event loop in an epoch of the Keras CNN: ${longest.toFixed(1)} ms at most, 99 % below ${p99.toFixed(1)} ms`;
}

/** Milliseconds of an epoch of training, shuffling included, or of a call of predict. */
export async function measureNetwork(problem: NetworkProblem, options: MeasureOptions = {}): Promise<number> {
  const subject = prepare(problem);
  try {
    return await measure(() => subject.run(), { warmUp: problem.kind === 'train' ? 1 : 3, ...options });
  } finally {
    subject.dispose();
  }
}

async function blocksOfTraining(): Promise<Blocks> {
  const subject = prepare({ kind: 'train', network: 'Keras CNN', batchSize: 32 });
  try {
    await subject.run();
    return await measureBlocks(() => subject.run());
  } finally {
    subject.dispose();
  }
}

interface Subject {
  run(): Promise<void>;
  dispose(): void;
}

function prepare({ kind, network, batchSize }: NetworkProblem): Subject {
  const { make, side } = networks[network];
  const model = make();
  const trainer = new Trainer(model, { optimizer: 'adam', loss: 'sparseCategoricalCrossentropy' });
  const count = kind === 'train' ? EPOCH_IMAGES : batchSize;
  const images = randomUniform([count, side, side, 3]);
  const labels = randomInt([count], 0, 10);
  return {
    async run() {
      if (kind === 'train') await trainer.fit(images, labels, { batchSize, verbose: 0 });
      else (await trainer.predict(images, { batchSize })).dispose();
    },
    dispose() {
      for (const owner of [images, labels, model, trainer.optimizer]) owner.dispose();
    },
  };
}

const networks = {
  'Keras CNN': { make: kerasCnn, side: 32 },
  SimpleCNN: { make: () => new SimpleCNN(), side: 28 },
};

export function kerasCnn(): nn.Sequential {
  return new nn.Sequential([
    conv2d({ filters: 32, kernelSize: 3, activation: 'relu', inputShape: [32, 32, 3] }),
    maxPooling2d({ poolSize: 2 }),
    conv2d({ filters: 64, kernelSize: 3, activation: 'relu' }),
    maxPooling2d({ poolSize: 2 }),
    flatten(),
    dense({ units: 64, activation: 'relu' }),
    dense({ units: 10, activation: 'softmax' }),
  ]);
}

export class SimpleCNN extends nn.Module {
  conv1 = new nn.Conv2d(3, 32, { kernelSize: 3, padding: 1 });
  pool = new nn.MaxPool2d(2);
  conv2 = new nn.Conv2d(32, 64, { kernelSize: 3 });
  fc1 = new nn.Linear(64 * 6 * 6, 64);
  fc2 = new nn.Linear(64, 10);

  forward(input: Tensor): Tensor {
    let x = this.pool(relu(this.conv1(input)));
    x = this.pool(relu(this.conv2(x)));
    x = relu(this.fc1(view(x, [-1, 64 * 6 * 6])));
    return softmax(this.fc2(x));
  }
}
