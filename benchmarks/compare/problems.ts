import { convProblems, opProblems, type ConvProblem, type MatmulProblem } from '../../lib/bench/problems';
import type { NetworkName } from '../networks';

/** What libraries are compared on. Plain data: peers in other languages get it as JSON. */
export type CompareProblem = NetworkTask | ConvProblem | MatmulProblem;

export interface NetworkTask {
  /** A step of training (forward, loss, backward, update), or the prediction of a batch. */
  kind: 'train' | 'predict';
  name: string;
  network: NetworkName;
  /** [N, H, W, C] */
  input: readonly [number, number, number, number];
  classes: number;
  /** Adam with PyTorch's defaults, or SGD with these options. */
  optimizer: 'adam' | typeof sgd;
}

const sgd = { lr: 0.01, momentum: 0.9, weightDecay: 5e-4 };

function networkTask(
  kind: NetworkTask['kind'],
  network: NetworkName,
  batchSize: number,
  { side = 224, classes = 1000, optimizer = 'adam' as NetworkTask['optimizer'] } = {},
): NetworkTask {
  const what = { train: 'training', predict: 'inference' }[kind];
  const input = [batchSize, side, side, 3] as const;
  return { kind, name: `${network} ${what}, batch ${batchSize}`, network, input, classes, optimizer };
}

const small = { 'Keras CNN': { side: 32, classes: 10 }, SimpleCNN: { side: 28, classes: 10 } };
const smallNetworks = Object.keys(small) as (keyof typeof small)[];
const largeNetworks = ['VGG16', 'ResNet-18', 'ResNet-50', 'EfficientNet-B0', 'MobileNetV2'] as const;

const depthwise = [
  { name: 'depthwise 3×3 s2, 96 channels, 112², n8', input: [8, 112, 112, 96], weight: [3, 3, 1, 96], stride: 2 },
  { name: 'depthwise 5×5, 480 channels, 14², n8', input: [8, 14, 14, 480], weight: [5, 5, 1, 480], stride: 1 },
] as const;

const matmul = (m: number, n: number, k: number): MatmulProblem => ({
  kind: 'matmul',
  name: `SGEMM ${m}×${n}×${k}`,
  pass: 'forward',
  m,
  n,
  k,
});

export const problems: readonly CompareProblem[] = [
  ...smallNetworks.flatMap((name) => [32, 128].map((batch) => networkTask('train', name, batch, small[name]))),
  ...smallNetworks.flatMap((name) => [1, 32].map((batch) => networkTask('predict', name, batch, small[name]))),
  ...largeNetworks.flatMap((name) => [1, 8].map((batch) => networkTask('predict', name, batch))),
  networkTask('train', 'ResNet-18 for CIFAR', 64, { side: 32, classes: 10, optimizer: sgd }),
  networkTask('train', 'VGG16 with a head', 8, { classes: 10 }),
  ...depthwise.flatMap((layer) =>
    convProblems({ ...layer, groups: layer.input[3], padding: (layer.weight[0] - 1) / 2 }),
  ),
  ...convProblems({
    name: '3→64 7×7 s2, 224², n8',
    input: [8, 224, 224, 3],
    weight: [7, 7, 3, 64],
    stride: 2,
    padding: 3,
  }).filter(({ pass }) => pass !== 'backward input'), // a first layer's is never needed
  matmul(256, 256, 256),
  matmul(512, 512, 512),
  matmul(2048, 2048, 2048),
  matmul(64, 3136, 576),
];

/** Layers of the networks, one by one: compared when they are asked for by name. */
export const layerProblems: readonly CompareProblem[] = opProblems.filter(
  (problem) => problem.kind === 'conv2d' || problem.kind === 'matmul',
);

/** The name of a problem as people ask for it. */
export function titleOf(problem: CompareProblem): string {
  return problem.kind === 'conv2d' ? `${problem.name}, ${problem.pass}` : problem.name;
}

/** The problems whose title has one of these words in it, whatever the case; the table where there are none. */
export function problemsNamed(words: readonly string[]): CompareProblem[] {
  if (words.length === 0) return [...problems];
  const wanted = words.map((word) => word.toLowerCase());
  return [...problems, ...layerProblems].filter((problem) =>
    wanted.some((word) => titleOf(problem).toLowerCase().includes(word)),
  );
}
