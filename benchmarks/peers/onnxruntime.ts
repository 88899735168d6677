/** onnxruntime-node as a peer of the benchmarks: it predicts with the networks that PyTorch exports. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { CompareProblem, NetworkTask } from '../compare/problems';
import { requirePeer, serve, type Subject } from './serve';

interface OnnxTensor {
  data: Float32Array;
}

interface OnnxRuntime {
  Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => OnnxTensor;
  InferenceSession: { create(path: string, options: object): Promise<Session> };
}

interface Session {
  run(feeds: { x: OnnxTensor }): Promise<{ y: OnnxTensor }>;
}

const ort = requirePeer<OnnxRuntime>('onnxruntime-node');

async function prepare(problem: CompareProblem, threads: number, folder: string): Promise<string | Subject> {
  if (problem.kind !== 'predict') return 'inference only';
  const model = join(folder, 'model.onnx');
  if (!existsSync(model)) return 'needs the file that PyTorch exports';
  const session = await ort.InferenceSession.create(model, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
  });
  const [n, h, w, c] = problem.input;
  const pixels = Float32Array.from({ length: n * h * w * c }, () => Math.random());
  const x = new ort.Tensor('float32', pixels, [n, c, h, w]);
  return {
    variants: {
      run: async (calls) => {
        for (let i = 0; i < calls; i++) await session.run({ x });
      },
    },
    check: async (example) => {
      const { data } = example.get('input')!;
      const { y } = await session.run({
        x: new ort.Tensor('float32', toNchw(data as Float32Array, problem.input), [n, c, h, w]),
      });
      return y.data;
    },
  };
}

function toNchw(images: Float32Array, [, h, w, c]: NetworkTask['input']): Float32Array {
  const planes = new Float32Array(images.length);
  for (let from = 0; from < images.length; from++) {
    const [pixel, channel] = [Math.floor(from / c), from % c];
    const [image, position] = [Math.floor(pixel / (h * w)), pixel % (h * w)];
    planes[(image * c + channel) * h * w + position] = images[from]!;
  }
  return planes;
}

void serve({ name: `onnxruntime-node ${ort.version}`, prepare });
