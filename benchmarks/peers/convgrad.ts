/** convgrad as a peer of the benchmarks, as its users would write it. */
import { optim, randomInt, randomUniform, setThreads, synchronize, tensor, Trainer, type Tensor } from '../../lib';
import { measurePeak } from '../../lib/bench/measure';
import { prepareOp } from '../../lib/bench/ops';
import { flopsOf, type ConvProblem, type MatmulProblem } from '../../lib/bench/problems';
import { networks, type Network } from '../networks';
import { flopsOfNetwork } from '../networks/flops';
import { loadTorchWeights } from '../networks/torchWeights';
import type { CompareProblem, NetworkTask } from '../compare/problems';
import { serve, type Example, type Subject } from './serve';

let flops: () => number;

function prepareNetwork(task: NetworkTask): Subject {
  const network: Network = networks[task.network];
  const model = network.make();
  const [batchSize, ...image] = task.input;
  flops = () => batchSize * flopsOfNetwork(model, image, task.kind === 'train');
  const trainer = new Trainer(model, {
    optimizer: (parameters) =>
      task.optimizer === 'adam' ? new optim.Adam(parameters) : new optim.SGD(parameters, task.optimizer),
    loss: endsInSoftmax(task) ? 'sparseCategoricalCrossentropy' : 'crossEntropy',
  });
  const load = (example: Example): Tensor => {
    const weights = [...example].filter(([name]) => name.startsWith('weight.'));
    const tensors = new Map(
      weights.map(([name, value]) => [name.slice('weight.'.length), tensor(value.data, value.shape)]),
    );
    loadTorchWeights(model, tensors, network.flattened);
    for (const value of tensors.values()) value.dispose();
    return tensorOf(example, 'input');
  };
  if (task.kind === 'predict') {
    const x = randomUniform(task.input);
    return {
      variants: {
        predict: async (calls) => {
          for (let i = 0; i < calls; i++) {
            const y = await trainer.predict(x, { batchSize });
            await y.data();
            y.dispose();
          }
        },
      },
      check: async (example) => await (await trainer.predict(load(example), { batchSize })).data(),
    };
  }
  return {
    variants: { fit: fitting(trainer, task) },
    async check(example) {
      const x = load(example);
      const labels = example.get('labels')!;
      const losses: number[] = [];
      for (let step = 0; step < 3; step++)
        losses.push((await trainer.trainOnBatch(x, tensor(labels.data, labels.shape)))['loss']!);
      return losses;
    },
  };
}

/** Of the networks with few classes, those for small images. */
function endsInSoftmax({ network }: NetworkTask): boolean {
  return network === 'Keras CNN' || network === 'SimpleCNN';
}

/** An epoch of so many steps. */
function fitting(
  trainer: Trainer,
  { input: [batchSize, ...image], classes }: NetworkTask,
): (steps: number) => Promise<void> {
  let data: { steps: number; x: Tensor; y: Tensor<'int32'> } | undefined;
  return async (steps) => {
    if (data?.steps !== steps) {
      data?.x.dispose();
      data?.y.dispose();
      const count = steps * batchSize;
      data = { steps, x: randomUniform([count, ...image]), y: randomInt([count], 0, classes) };
      await synchronize();
    }
    await trainer.fit(data.x, data.y, { batchSize, shuffle: false, verbose: 0 });
  };
}

function prepareOpProblem(problem: ConvProblem | MatmulProblem): Subject {
  const { inputs, run } = prepareOp(problem);
  flops = () => flopsOf(problem);
  return {
    variants: {
      op: async (calls) => {
        for (let i = 0; i < calls; i++) run().dispose();
        await synchronize();
      },
    },
    async check(example) {
      inputs.forEach((input, i) => input.assign(tensorOf(example, `input.${i}`)));
      return await run().data();
    },
  };
}

function tensorOf(example: Example, name: string): Tensor {
  const { data, shape } = example.get(name)!;
  return tensor(data as Float32Array, shape);
}

async function prepare(problem: CompareProblem, threads: number): Promise<Subject> {
  setThreads(threads);
  return 'network' in problem ? prepareNetwork(problem) : prepareOpProblem(problem);
}

void serve(
  { name: 'convgrad', prepare },
  { peak: async () => ({ gflops: measurePeak() }), flops: async () => ({ flops: flops() }) },
);
