import { join } from 'node:path';
import { ConvgradError } from './errors';

/** The element types of tensors. */
export type DType = 'float32' | 'int32' | 'uint8';

export interface TypedArrays {
  float32: Float32Array;
  int32: Int32Array;
  uint8: Uint8Array;
}
export type TypedArray = TypedArrays[DType];

/** A tensor of the addon. Opaque: only the addon's functions take it. */
export interface Handle {
  readonly handle: unique symbol;
}

/** A plan of the addon, see capture.ts. */
export interface PlanHandle {
  readonly plan: unique symbol;
}

export type UnaryFunction =
  | 'relu'
  | 'relu6'
  | 'leakyRelu'
  | 'sigmoid'
  | 'tanh'
  | 'silu'
  | 'hardSilu'
  | 'hardSigmoid'
  | 'gelu'
  | 'geluTanh'
  | 'softplus'
  | 'elu'
  | 'exp'
  | 'log'
  | 'sqrt'
  | 'rsqrt'
  | 'square'
  | 'neg'
  | 'abs'
  | 'clip'
  | 'reciprocal'
  | 'sign';

export type BinaryFunction = 'add' | 'sub' | 'mul' | 'div' | 'pow' | 'maximum' | 'minimum';
export type CompareFunction = 'equal' | 'notEqual' | 'greater' | 'greaterEqual' | 'less' | 'lessEqual';
export type ReduceFunction = 'sum' | 'mean' | 'max' | 'min' | 'variance' | 'sumSquares';
export type ResizeMethod = 'nearest' | 'bilinear';
export type ResizeCoordinates = 'halfPixel' | 'alignCorners' | 'asymmetric';

/** How the losses of a batch become one: not at all, by their mean, or by their sum. */
export type Reduction = 'none' | 'mean' | 'sum';
export type PointwiseLossFunction =
  'mseLoss' | 'maeLoss' | 'huberLoss' | 'binaryCrossEntropy' | 'binaryCrossEntropyWithLogits';

/** What an epilogue of convolution and matmul applies to its result. */
export type EpilogueActivation = 'none' | 'relu' | 'relu6' | 'sigmoid' | 'tanh' | 'silu';

/** How a convolution or one of its gradients is computed. */
export type ConvAlgorithm = 'auto' | 'winograd' | 'implicit_gemm' | 'im2col' | 'direct' | 'reference';
/** What `'auto'` may choose from, see `setPrecision`. */
export type Precision = 'high' | 'highest';
export type RandomFunction = 'uniform' | 'normal' | 'truncatedNormal' | 'bernoulli' | 'integers';

/**
 * The ops, as `native/ops/` defines them: operands, then parameters, in that order. A test holds this interface against
 * the signatures that the addon reports.
 */
export interface NativeOps {
  unary(x: Handle, fn: UnaryFunction, alpha: number, beta: number): Handle;
  unaryBackward(saved: Handle, dy: Handle, fn: UnaryFunction, alpha: number, beta: number): Handle;
  copy(destination: Handle, source: Handle): void;
  fill(dtype: DType, shape: readonly number[], value: number): Handle;
  binary(a: Handle | null, b: Handle | null, fn: BinaryFunction, scalar: number): Handle;
  binaryBackward(
    a: Handle | null,
    b: Handle | null,
    dy: Handle,
    fn: BinaryFunction,
    side: 'a' | 'b',
    scalar: number,
  ): Handle;
  compare(a: Handle | null, b: Handle | null, fn: CompareFunction, scalar: number): Handle;
  where(condition: Handle, a: Handle | null, b: Handle | null, scalarA: number, scalarB: number): Handle;
  reduce(x: Handle, fn: ReduceFunction, axes: readonly number[], keepDims: boolean, correction: number): Handle;
  argReduce(x: Handle, fn: 'argMax' | 'argMin', axis: number, keepDims: boolean): Handle;
  transpose(x: Handle, permutation: readonly number[]): Handle;
  slice(x: Handle, begin: readonly number[], size: readonly number[], strides: readonly number[]): Handle;
  sliceBackward(dy: Handle, shape: readonly number[], begin: readonly number[], strides: readonly number[]): Handle;
  pad(x: Handle, before: readonly number[], after: readonly number[], value: number): Handle;
  concat(xs: readonly Handle[], axis: number): Handle;
  broadcastTo(x: Handle, shape: readonly number[]): Handle;
  gather(x: Handle, indices: Handle, axis: number): Handle;
  gatherBackward(dy: Handle, indices: Handle, shape: readonly number[], axis: number): Handle;
  oneHot(indices: Handle, depth: number): Handle;
  cast(x: Handle, dtype: DType): Handle;

  maxPool2d(
    x: Handle,
    size: readonly number[],
    stride: readonly number[],
    padding: readonly number[],
    ceilMode: boolean,
    adaptive: boolean,
  ): Handle;
  maxPool2dWithIndices(
    x: Handle,
    size: readonly number[],
    stride: readonly number[],
    padding: readonly number[],
    ceilMode: boolean,
    adaptive: boolean,
  ): [y: Handle, indices: Handle];
  maxPool2dBackward(
    dy: Handle,
    indices: Handle,
    inputSize: readonly number[],
    size: readonly number[],
    stride: readonly number[],
    padding: readonly number[],
    ceilMode: boolean,
    adaptive: boolean,
  ): Handle;
  avgPool2d(
    x: Handle,
    size: readonly number[],
    stride: readonly number[],
    padding: readonly number[],
    ceilMode: boolean,
    adaptive: boolean,
    countIncludePad: boolean,
    divisorOverride: number,
  ): Handle;
  avgPool2dBackward(
    dy: Handle,
    inputSize: readonly number[],
    size: readonly number[],
    stride: readonly number[],
    padding: readonly number[],
    ceilMode: boolean,
    adaptive: boolean,
    countIncludePad: boolean,
    divisorOverride: number,
  ): Handle;

  batchNorm(
    x: Handle,
    gamma: Handle | null,
    beta: Handle | null,
    runningMean: Handle | null,
    runningVar: Handle | null,
    momentum: number,
    epsilon: number,
    unbiasedRunningVar: boolean,
  ): [y: Handle, mean: Handle, invStd: Handle];
  batchNormBackward(
    x: Handle,
    dy: Handle,
    mean: Handle,
    invStd: Handle,
    gamma: Handle | null,
  ): [dx: Handle, dgamma: Handle, dbeta: Handle];
  batchNormInference(
    x: Handle,
    mean: Handle,
    variance: Handle,
    gamma: Handle | null,
    beta: Handle | null,
    epsilon: number,
  ): Handle;
  batchNormInferenceBackward(
    x: Handle,
    dy: Handle,
    mean: Handle,
    variance: Handle,
    gamma: Handle | null,
    epsilon: number,
  ): [dx: Handle, dgamma: Handle, dbeta: Handle];
  groupNorm(
    x: Handle,
    gamma: Handle | null,
    beta: Handle | null,
    groups: number,
    epsilon: number,
  ): [y: Handle, mean: Handle, invStd: Handle];
  groupNormBackward(
    x: Handle,
    dy: Handle,
    mean: Handle,
    invStd: Handle,
    gamma: Handle | null,
  ): [dx: Handle, dgamma: Handle, dbeta: Handle];
  layerNorm(
    x: Handle,
    gamma: Handle | null,
    beta: Handle | null,
    normalizedRank: number,
    epsilon: number,
  ): [y: Handle, mean: Handle, invStd: Handle];
  layerNormBackward(
    x: Handle,
    dy: Handle,
    mean: Handle,
    invStd: Handle,
    gamma: Handle | null,
  ): [dx: Handle, dgamma: Handle, dbeta: Handle];

  softmax(x: Handle, axis: number, logarithm: boolean): Handle;
  softmaxBackward(y: Handle, dy: Handle, axis: number, logarithm: boolean): Handle;
  crossEntropy(
    scores: Handle,
    target: Handle,
    classWeight: Handle | null,
    sampleWeight: Handle | null,
    fromLogits: boolean,
    labelSmoothing: number,
    epsilon: number,
    reduction: Reduction,
  ): [loss: Handle, statistics: Handle, divisor: Handle];
  crossEntropyBackward(
    scores: Handle,
    target: Handle,
    statistics: Handle,
    divisor: Handle,
    dloss: Handle,
    classWeight: Handle | null,
    sampleWeight: Handle | null,
    fromLogits: boolean,
    labelSmoothing: number,
    epsilon: number,
    reduction: Reduction,
  ): Handle;
  pointwiseLoss(
    prediction: Handle,
    target: Handle,
    sampleWeight: Handle | null,
    fn: PointwiseLossFunction,
    parameter: number,
    labelSmoothing: number,
    reduction: Reduction,
  ): Handle;
  pointwiseLossBackward(
    prediction: Handle,
    target: Handle,
    dloss: Handle,
    sampleWeight: Handle | null,
    fn: PointwiseLossFunction,
    parameter: number,
    labelSmoothing: number,
    reduction: Reduction,
  ): Handle;

  resize(x: Handle, size: readonly number[], method: ResizeMethod, coordinates: ResizeCoordinates): Handle;
  resizeBackward(dy: Handle, size: readonly number[], method: ResizeMethod, coordinates: ResizeCoordinates): Handle;
  matmul(
    a: Handle,
    b: Handle,
    bias: Handle | null,
    residual: Handle | null,
    transposeA: boolean,
    transposeB: boolean,
    activation: EpilogueActivation,
  ): Handle;
  epilogueBackward(dy: Handle, y: Handle, activation: EpilogueActivation): [dz: Handle, dbias: Handle];
  biasBackward(dy: Handle): Handle;
  conv2d(
    x: Handle,
    weight: Handle,
    bias: Handle | null,
    residual: Handle | null,
    stride: readonly number[],
    padding: readonly number[],
    dilation: readonly number[],
    groups: number,
    algorithm: ConvAlgorithm,
    precision: Precision,
    activation: EpilogueActivation,
  ): Handle;
  conv2dMaxPool(
    x: Handle,
    weight: Handle,
    bias: Handle | null,
    stride: readonly number[],
    padding: readonly number[],
    dilation: readonly number[],
    precision: Precision,
    activation: EpilogueActivation,
  ): [y: Handle, indices: Handle];
  conv2dBackwardInput(
    dy: Handle,
    weight: Handle,
    bias: Handle | null,
    stride: readonly number[],
    padding: readonly number[],
    dilation: readonly number[],
    groups: number,
    algorithm: ConvAlgorithm,
    precision: Precision,
    inputShape: readonly number[],
    activation: EpilogueActivation,
  ): Handle;
  conv2dBackwardWeight(
    x: Handle,
    dy: Handle,
    stride: readonly number[],
    padding: readonly number[],
    dilation: readonly number[],
    groups: number,
    algorithm: ConvAlgorithm,
    precision: Precision,
    weightShape: readonly number[],
  ): Handle;
  im2col(
    x: Handle,
    stride: readonly number[],
    padding: readonly number[],
    dilation: readonly number[],
    kernelSize: readonly number[],
  ): Handle;
  col2im(
    columns: Handle,
    stride: readonly number[],
    padding: readonly number[],
    dilation: readonly number[],
    kernelSize: readonly number[],
    inputShape: readonly number[],
  ): Handle;
  random(state: Handle, fn: RandomFunction, shape: readonly number[], a: number, b: number): Handle;
  dropout(x: Handle, state: Handle, rate: number, noiseShape: readonly number[]): [y: Handle, mask: Handle];
  dropoutBackward(dy: Handle, mask: Handle, rate: number): Handle;
  sgdStep(
    params: readonly Handle[],
    grads: readonly Handle[],
    momenta: readonly Handle[],
    steps: readonly Handle[],
    lr: Handle,
    momentum: number,
    dampening: number,
    weightDecay: number,
    nesterov: boolean,
  ): void;
  adamStep(
    params: readonly Handle[],
    grads: readonly Handle[],
    means: readonly Handle[],
    squares: readonly Handle[],
    steps: readonly Handle[],
    lr: Handle,
    beta1: number,
    beta2: number,
    epsilon: number,
    weightDecay: number,
    decoupled: boolean,
    kerasEpsilon: boolean,
  ): void;
  rmspropStep(
    params: readonly Handle[],
    grads: readonly Handle[],
    squares: readonly Handle[],
    means: readonly Handle[],
    momenta: readonly Handle[],
    lr: Handle,
    alpha: number,
    epsilon: number,
    momentum: number,
    weightDecay: number,
    centered: boolean,
    kerasEpsilon: boolean,
  ): void;
  clipByGlobalNorm(grads: readonly Handle[], maxNorm: number): Handle;
  clipByValue(grads: readonly Handle[], limit: number): void;
}

export interface MemoryInfo {
  /** Bytes in live blocks of native memory. */
  bytes: number;
  /** Bytes kept for reuse. */
  cachedBytes: number;
  /** The most `bytes` so far, see `resetPeakMemory`. */
  peakBytes: number;
  /** Live blocks of native memory; tensors that share memory count once. */
  blocks: number;
  /** Bytes in packed copies of weights, which inference keeps (in all threads together). Not among `bytes`. */
  packedBytes: number;
  /** 0: no limit. */
  limitBytes: number;
}

export interface DeviceInfo {
  /** `'cpu'` */
  device: string;
  /** The instruction set that the kernels use: `'avx512'`, `'avx2'`, `'baseline'` or `'neon'`. */
  isa: string;
  /** The instruction sets that this machine could run, the best first. */
  availableIsas: string[];
  /** float32 lanes of a vector. */
  lanes: number;
  /** Threads that share the work; see `setThreads`. */
  threads: number;
  /** What the device has been given to do so far: commands, and reads of results. */
  commands: number;
  /** Whether this build has a CUDA backend. */
  builtWithCuda: boolean;
}

export interface OpSignature {
  name: string;
  operands: string[];
  params: [field: string, type: string][];
  outputs: string[];
}

interface NativeAddon extends NativeOps {
  fromTypedArray(data: TypedArray, shape: readonly number[]): Handle;
  reshape(x: Handle, shape: readonly number[]): Handle;
  dispose(tensor: Handle): void;
  /** Enqueues what writes the tensor, if that waits for the ops after it to become one with them. */
  compute(tensor: Handle): void;
  shape(tensor: Handle): number[];
  dtype(tensor: Handle): DType;
  version(tensor: Handle): number;
  data(tensor: Handle): Promise<TypedArray>;
  dataSync(tensor: Handle): TypedArray;

  /** Notes what is enqueued from now on, see capture.ts. 'dry': nothing is executed. */
  beginRecording(inputs: readonly Handle[], mode: 'strict' | 'lenient' | 'dry'): void;
  /** What comes after follows from what came before. */
  markRecording(): void;
  /** The plan, or null where a replay would not do the same. */
  endRecording(results: readonly Handle[]): PlanHandle | null;
  abortRecording(): void;
  /** Whether all before the mark was as when the plan was recorded. */
  endDryRun(plan: PlanHandle): boolean;
  /** Whether the inputs are like the recorded ones, and all tensors that the plan uses are still there. */
  planFits(plan: PlanHandle, inputs: readonly Handle[]): boolean;
  /** The results; null when it is worth recording anew, since a weight would be kept packed by now. */
  replay(plan: PlanHandle, inputs: readonly Handle[]): Handle[] | null;
  /** Planned memory. */
  planBytes(plan: PlanHandle): number;
  /** Whether the same commands on the same tensors were recorded. */
  samePlan(a: PlanHandle, b: PlanHandle): boolean;
  /** Whether the recorded run left tensors behind that are not its results. */
  leavesTensors(plan: PlanHandle): boolean;
  disposePlan(plan: PlanHandle): void;

  /** Words of a Philox stream that no op draws from: word i is word i % 4 of the block `block + i / 4`. */
  randomWords(seedLow: number, seedHigh: number, block: number, count: number): Uint32Array;

  synchronize(): void;
  settled(): Promise<void>;
  /** Commands that the device has not run yet; a replay counts as one. */
  pending(): number;
  memory(): MemoryInfo;
  trimMemory(): void;
  resetPeakMemory(): void;
  setMemoryLimit(bytes: number): void;
  setThreads(count: number): void;
  deviceInfo(): DeviceInfo;
  measurePeak(milliseconds: number): number;
  setErrorClass(constructor: typeof ConvgradError): void;
  readonly signatures: OpSignature[];
}

function loadAddon(): NativeAddon {
  // The package's root is one folder up both from lib/ (tests) and from dist/.
  const root = join(__dirname, '..');
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    const load = require('node-gyp-build') as ((folder: string) => NativeAddon) & { path(folder: string): string };
    return load(root);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConvgradError(
      'ERR_DEVICE',
      `convgrad's native addon cannot be loaded on ${process.platform}-${process.arch}, Node ${process.version}: ${reason}. ` +
        'No prebuilt binary fits and none was built from source; run `npm rebuild convgrad` with a C++20 compiler and cmake installed.',
      { cause: error },
    );
  }
}

/** The addon. Throws `ERR_DEVICE` at import when it cannot be loaded. */
export const native: NativeAddon = loadAddon();
native.setErrorClass(ConvgradError);
