import { differentiable, needsGradient } from '../autograd';
import { ConvgradError } from '../errors';
import { native } from '../native';
import { Tensor } from '../tensor';
import { reshape } from './shape';
import { paddingOf, pairOf, type Padding2d, type Pair } from './window';

export interface PoolOptions {
  /** Height and width of a window. */
  poolSize: Pair;
  /** Distance of neighbouring windows. Default: `poolSize`. */
  stride?: Pair;
  /** Default `'valid'`. Numbers must be smaller than the window. Padding never is a maximum. */
  padding?: Padding2d;
  /**
   * Whether a last window may hang over the end of the input (and its padding), as long as it starts in the input or in
   * the padding before it. Default false. `'same'` leaves nothing for it to do.
   */
  ceilMode?: boolean;
}

export interface AvgPoolOptions extends PoolOptions {
  /**
   * Whether padding counts in what a sum is divided by. Default: true for explicit padding, as in PyTorch; false for
   * `'same'`, as in Keras.
   */
  countIncludePad?: boolean;
  /** Divides every sum by this number instead. */
  divisorOverride?: number;
}

/** The native ops' parameters for windows: size, stride, padding, ceilMode, adaptive. */
type Windows = [readonly number[], readonly number[], readonly number[], boolean, boolean];

function stridedWindows(op: string, { poolSize, stride = poolSize, padding = 'valid', ceilMode = false }: PoolOptions) {
  const windows: Windows = [
    pairOf(op, 'poolSize', poolSize),
    pairOf(op, 'stride', stride),
    paddingOf(op, padding),
    ceilMode,
    false,
  ];
  return windows;
}

function adaptiveWindows(op: string, outputSize: Pair): Windows {
  return [pairOf(op, 'outputSize', outputSize), [], [], false, true];
}

function maxPool(op: string, x: Tensor, windows: Windows): Tensor {
  if (!needsGradient(x)) return new Tensor(native.maxPool2d(x.handle, ...windows));
  const [y, indices] = maxPoolWithIndices(op, x, windows);
  indices.dispose(); // the tape keeps its own reference
  return y;
}

function maxPoolWithIndices(op: string, x: Tensor, windows: Windows): [Tensor, Tensor<'int32'>] {
  const handles = native.maxPool2dWithIndices(x.handle, ...windows);
  const indices = new Tensor<'int32'>(handles[1]);
  const inputSize = x.shape.slice(1, 3);
  const y = differentiable(op, new Tensor(handles[0]), { x }, { indices }, (dy, { indices }) => ({
    x: () => new Tensor(native.maxPool2dBackward(dy.handle, indices.handle, inputSize, ...windows)),
  }));
  return [y, indices];
}

function avgPool(op: string, x: Tensor, windows: Windows, countIncludePad = false, divisorOverride = 0): Tensor {
  const y = new Tensor(native.avgPool2d(x.handle, ...windows, countIncludePad, divisorOverride));
  const inputSize = x.shape.slice(1, 3);
  return differentiable(op, y, { x }, {}, (dy) => ({
    x: () => new Tensor(native.avgPool2dBackward(dy.handle, inputSize, ...windows, countIncludePad, divisorOverride)),
  }));
}

/**
 * The maximum of each window, channel by channel. NaN wins over every number.
 * @param x [N, H, W, C]
 * @returns [N, P, Q, C]
 */
export function maxPool2d(x: Tensor, options: PoolOptions): Tensor {
  return maxPool('maxPool2d', x, stridedWindows('maxPool2d', options));
}

/**
 * maxPool2d, and where in the image each maximum was.
 * @returns values and indices h · W + w, both [N, P, Q, C]. Of equal values the first one counts.
 */
export function maxPool2dWithIndices(x: Tensor, options: PoolOptions): [values: Tensor, indices: Tensor<'int32'>] {
  return maxPoolWithIndices('maxPool2dWithIndices', x, stridedWindows('maxPool2dWithIndices', options));
}

/**
 * The average of each window, channel by channel.
 * @param x [N, H, W, C]
 * @returns [N, P, Q, C]
 */
export function avgPool2d(x: Tensor, options: AvgPoolOptions): Tensor {
  const { padding, countIncludePad = padding !== 'same', divisorOverride } = options;
  if (divisorOverride !== undefined && !(divisorOverride >= 1)) {
    throw new ConvgradError('ERR_VALUE', `avgPool2d: divisorOverride must be at least 1, got ${divisorOverride}`);
  }
  return avgPool('avgPool2d', x, stridedWindows('avgPool2d', options), countIncludePad, divisorOverride);
}

/**
 * Averages over as many windows as asked for: window i of n spans [floor(i · size / n), ceil((i + 1) · size / n)).
 * @param x [N, H, W, C]
 * @returns [N, ...outputSize, C]
 */
export function adaptiveAvgPool2d(x: Tensor, outputSize: Pair): Tensor {
  return avgPool('adaptiveAvgPool2d', x, adaptiveWindows('adaptiveAvgPool2d', outputSize));
}

/** Maxima over the windows of `adaptiveAvgPool2d`. */
export function adaptiveMaxPool2d(x: Tensor, outputSize: Pair): Tensor {
  return maxPool('adaptiveMaxPool2d', x, adaptiveWindows('adaptiveMaxPool2d', outputSize));
}

export interface GlobalPoolOptions {
  /** Whether the result is [N, 1, 1, C] and not [N, C]. Default false. */
  keepDims?: boolean;
}

/**
 * The average of each channel of each image.
 * @param x [N, H, W, C]
 * @returns [N, C]
 */
export function globalAvgPool2d(x: Tensor, { keepDims = false }: GlobalPoolOptions = {}): Tensor {
  const y = avgPool('globalAvgPool2d', x, adaptiveWindows('globalAvgPool2d', 1));
  return keepDims ? y : withoutSpatialAxes(y);
}

/** The maximum of each channel of each image: [N, C]. */
export function globalMaxPool2d(x: Tensor, { keepDims = false }: GlobalPoolOptions = {}): Tensor {
  const y = maxPool('globalMaxPool2d', x, adaptiveWindows('globalMaxPool2d', 1));
  return keepDims ? y : withoutSpatialAxes(y);
}

/** [N, 1, 1, C] as [N, C]. Takes the tensor over. */
function withoutSpatialAxes(pooled: Tensor): Tensor {
  const y = reshape(pooled, [pooled.shape[0]!, pooled.shape[3]!]);
  pooled.dispose();
  return y;
}
