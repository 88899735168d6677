/** TensorFlow.js as a peer of the benchmarks: the Keras CNN in JavaScript, and its inference in WebAssembly. */
import type { CompareProblem } from '../compare/problems';
import { requirePeer, serve, type Example, type Subject } from './serve';

interface TfTensor {
  data(): Promise<Float32Array>;
  reshape(shape: readonly number[]): TfTensor;
  transpose(permutation?: readonly number[]): TfTensor;
  dispose(): void;
}

interface TfModel {
  compile(options: object): void;
  predict(x: TfTensor): TfTensor;
  trainOnBatch(x: TfTensor, y: TfTensor): Promise<number>;
  setWeights(weights: TfTensor[]): void;
}

type LayerFactory = (options?: object) => object;

interface TensorFlow {
  setBackend(name: 'cpu' | 'wasm'): Promise<boolean>;
  sequential(options: { layers: object[] }): TfModel;
  layers: Record<'conv2d' | 'maxPooling2d' | 'flatten' | 'dense', LayerFactory>;
  train: { adam(lr: number): object };
  tensor(data: ArrayLike<number>, shape: readonly number[]): TfTensor;
  randomUniform(shape: readonly number[]): TfTensor;
}

const tf = requirePeer<TensorFlow>('@tensorflow/tfjs');
requirePeer('@tensorflow/tfjs-backend-wasm'); // registers its backend

function kerasCnn(): TfModel {
  const { conv2d, maxPooling2d, flatten, dense } = tf.layers;
  return tf.sequential({
    layers: [
      conv2d({ filters: 32, kernelSize: 3, activation: 'relu', inputShape: [32, 32, 3] }),
      maxPooling2d({ poolSize: 2 }),
      conv2d({ filters: 64, kernelSize: 3, activation: 'relu' }),
      maxPooling2d({ poolSize: 2 }),
      flatten(),
      dense({ units: 64, activation: 'relu' }),
      dense({ units: 10, activation: 'softmax' }),
    ],
  });
}

async function prepare(problem: CompareProblem): Promise<string | Subject> {
  if (!('network' in problem) || problem.network !== 'Keras CNN') return 'only the Keras CNN is written for it';
  await tf.setBackend('cpu');
  const model = kerasCnn();
  const x = tf.randomUniform(problem.input);
  const load = (example: Example): TfTensor => {
    model.setWeights(weightsOf(example));
    const { data, shape } = example.get('input')!;
    return tf.tensor(data, shape);
  };
  if (problem.kind === 'predict') {
    const on = (backend: 'cpu' | 'wasm') => async (calls: number) => {
      await tf.setBackend(backend);
      for (let i = 0; i < calls; i++) {
        const y = model.predict(x);
        await y.data();
        y.dispose();
      }
    };
    return {
      variants: { JavaScript: on('cpu'), WebAssembly: on('wasm') },
      check: async (example) => await model.predict(load(example)).data(),
    };
  }
  if (problem.input[0] > 32) return 'too slow for large batches';
  model.compile({ optimizer: tf.train.adam(0.001), loss: 'sparseCategoricalCrossentropy' });
  const batch = problem.input[0];
  const labels = tf.tensor(
    Array.from({ length: batch }, (_, i) => i % problem.classes),
    [batch, 1],
  );
  return {
    variants: {
      JavaScript: async (calls) => {
        for (let i = 0; i < calls; i++) await model.trainOnBatch(x, labels);
      },
    },
    check: async (example) => {
      const images = load(example);
      const { data } = example.get('labels')!;
      const y = tf.tensor(data, [data.length, 1]);
      const losses: number[] = [];
      for (let step = 0; step < 3; step++) losses.push(await model.trainOnBatch(images, y));
      return losses;
    },
  };
}

/** PyTorch's weights in the order of Keras's layers. */
function weightsOf(example: Example): TfTensor[] {
  const read = (name: string): TfTensor => {
    const { data, shape } = example.get(`weight.${name}`)!;
    return tf.tensor(data, shape);
  };
  const convolution = (name: string): TfTensor[] => [
    read(`${name}.weight`).transpose([2, 3, 1, 0]),
    read(`${name}.bias`),
  ];
  return [
    ...convolution('conv2d'),
    ...convolution('conv2d_1'),
    // PyTorch flattens images in the order C, H, W.
    read('dense.weight')
      .reshape([64, 64, 6, 6])
      .transpose([2, 3, 1, 0])
      .reshape([6 * 6 * 64, 64]),
    read('dense.bias'),
    read('dense_1.weight').transpose(),
    read('dense_1.bias'),
  ];
}

void serve({ name: `TensorFlow.js ${tf.version}`, prepare });
