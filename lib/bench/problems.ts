/** What benchmarks measure. Plain data, so that a program in another language can be asked to do the same. */
export type Problem = ConvProblem | MatmulProblem | MemoryProblem;

/** Layers of the networks that people train. */
export interface ConvProblem {
  kind: 'conv2d';
  name: string;
  pass: 'forward' | 'backward input' | 'backward weight';
  /** [N, H, W, C] */
  input: readonly [number, number, number, number];
  /** [R, S, C / groups, K] */
  weight: readonly [number, number, number, number];
  stride: number;
  /** Rows and columns of zeros on every side. */
  padding: number;
  groups: number;
}

/** [m, k] · [k, n] */
export interface MatmulProblem {
  kind: 'matmul';
  name: string;
  pass: 'forward';
  m: number;
  n: number;
  k: number;
}

/** Ops whose speed is that of memory. */
export interface MemoryProblem {
  kind: 'relu' | 'add' | 'maxPool2d' | 'batchNorm' | 'softmax';
  name: string;
  pass: 'forward';
  shape: readonly number[];
}

export interface NetworkProblem {
  kind: 'train' | 'predict';
  network: 'Keras CNN' | 'SimpleCNN';
  batchSize: number;
}

type Layer = Pick<ConvProblem, 'name' | 'input' | 'weight'> &
  Partial<Pick<ConvProblem, 'stride' | 'padding' | 'groups'>>;

/** At full size; the tests scale them down. */
export const convLayers: readonly Layer[] = [
  { name: 'Keras CNN conv1: 3→32 3×3, 32², n32', input: [32, 32, 32, 3], weight: [3, 3, 3, 32] },
  { name: 'Keras CNN conv2: 32→64 3×3, 15², n32', input: [32, 15, 15, 32], weight: [3, 3, 32, 64] },
  { name: 'VGG16 block1: 64→64 3×3, 224²', input: [1, 224, 224, 64], weight: [3, 3, 64, 64], padding: 1 },
  { name: 'VGG16 block3: 256→256 3×3, 56²', input: [1, 56, 56, 256], weight: [3, 3, 256, 256], padding: 1 },
  { name: 'ResNet stem: 3→64 7×7 s2, 224²', input: [1, 224, 224, 3], weight: [7, 7, 3, 64], stride: 2, padding: 3 },
  { name: 'ResNet layer1: 64→64 3×3, 56²', input: [1, 56, 56, 64], weight: [3, 3, 64, 64], padding: 1 },
  {
    name: 'ResNet layer3: 128→256 3×3 s2, 28², n4',
    input: [4, 28, 28, 128],
    weight: [3, 3, 128, 256],
    stride: 2,
    padding: 1,
  },
  { name: 'ResNet-50: 256→64 1×1, 56²', input: [1, 56, 56, 256], weight: [1, 1, 256, 64] },
  { name: 'ResNet-50: 512→2048 1×1, 7², n8', input: [8, 7, 7, 512], weight: [1, 1, 512, 2048] },
  {
    name: 'MobileNet depthwise: 96 3×3 s2, 112²',
    input: [1, 112, 112, 96],
    weight: [3, 3, 1, 96],
    stride: 2,
    padding: 1,
    groups: 96,
  },
  {
    name: 'EfficientNet depthwise: 480 5×5, 14², n8',
    input: [8, 14, 14, 480],
    weight: [5, 5, 1, 480],
    padding: 2,
    groups: 480,
  },
];

const matmuls: readonly (readonly [m: number, n: number, k: number])[] = [
  [256, 256, 256],
  [512, 512, 512],
  [1024, 1024, 1024],
  [3136, 64, 576],
  [32, 64, 2304],
  [1, 4096, 25088],
];

const memoryBound: readonly Pick<MemoryProblem, 'kind' | 'shape'>[] = [
  { kind: 'relu', shape: [8, 56, 56, 64] },
  { kind: 'add', shape: [8, 56, 56, 64] },
  { kind: 'maxPool2d', shape: [8, 56, 56, 64] },
  { kind: 'batchNorm', shape: [8, 56, 56, 64] },
  { kind: 'softmax', shape: [1024, 1000] },
];

/** The three passes of a layer. */
export function convProblems(layer: Layer): ConvProblem[] {
  const passes = ['forward', 'backward input', 'backward weight'] as const;
  return passes.map((pass) => ({ kind: 'conv2d', stride: 1, padding: 0, groups: 1, ...layer, pass }));
}

export const opProblems: readonly Problem[] = [
  ...convLayers.flatMap(convProblems),
  ...matmuls.map(([m, n, k]): MatmulProblem => ({
    kind: 'matmul',
    name: `matmul ${m}×${n}×${k}`,
    pass: 'forward',
    m,
    n,
    k,
  })),
  ...memoryBound.map(({ kind, shape }): MemoryProblem => ({
    kind,
    name: `${kind} [${shape.join(', ')}]`,
    pass: 'forward',
    shape,
  })),
];

export const networkProblems: readonly NetworkProblem[] = (['Keras CNN', 'SimpleCNN'] as const).flatMap((network) => [
  { kind: 'train', network, batchSize: 32 },
  { kind: 'train', network, batchSize: 128 },
  { kind: 'predict', network, batchSize: 1 },
  { kind: 'predict', network, batchSize: 32 },
]);

/** Floating-point operations: two for a multiplication and an addition. */
export function flopsOf(problem: ConvProblem | MatmulProblem): number {
  if (problem.kind === 'matmul') return 2 * problem.m * problem.n * problem.k;
  const [n, p, q, k] = outputShape(problem);
  const [r, s, c] = problem.weight;
  return 2 * n * p * q * k * r * s * c;
}

/** Bytes that a problem has to read and write at least. */
export function bytesOf(problem: MemoryProblem): number {
  const bytes = 4 * problem.shape.reduce((size, dim) => size * dim, 1);
  switch (problem.kind) {
    case 'maxPool2d': // values and indices of a quarter of the size
      return 1.5 * bytes;
    case 'add':
    case 'batchNorm': // it reads its input twice: for the statistics, and to apply them
      return 3 * bytes;
    case 'relu':
    case 'softmax':
      return 2 * bytes;
  }
}

/** [N, P, Q, K] */
export function outputShape({ input, weight, stride, padding }: ConvProblem): [number, number, number, number] {
  const along = (size: number, kernel: number): number => Math.floor((size + 2 * padding - kernel) / stride) + 1;
  return [input[0], along(input[1], weight[0]), along(input[2], weight[1]), weight[3]];
}
