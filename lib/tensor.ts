import { inspect } from 'node:util';
import { ConvgradError } from './errors';
import { format } from './format';
import { countCollected, track, untrack } from './memory';
import { native, type DType, type Handle, type TypedArray, type TypedArrays } from './native';

export type { DType, TypedArray, TypedArrays };
/** The sizes of the axes, outermost first; [] for a scalar. */
export type Shape = readonly number[];
/** Numbers in arrays in arrays, all of a level equally long. */
export type NestedArray = number | NestedArray[];

/** @internal A node of the autograd tape, see autograd.ts. */
export interface GraphNode {
  /** Called when the tensor that the node produced is disposed. */
  release(): void;
}

/** Tensors that were collected without being disposed still have to be counted. */
const collected = new FinalizationRegistry<void>(countCollected);

/**
 * A dense, row-major array of numbers in the memory of a device. Ops return at once and run in order in the background;
 * `data()` waits for the result. Memory goes back with `dispose()`, `using` or `tidy()`, and at the latest when the
 * tensor is garbage-collected.
 *
 * Most ops are methods too, for expressions that read from left to right: `x.sub(mean).square().sum(-1)`. Each takes what
 * the function of its name takes after the tensor, where it is documented.
 */
export class Tensor<D extends DType = 'float32'> {
  /** After `backward()`, the sum of the gradients with respect to this tensor, if it is a leaf that requires one. */
  grad: Tensor | null = null;
  /** @internal The op that made this tensor, while it can be differentiated. */
  node: GraphNode | null = null;

  #handle: Handle | null;
  #requiresGrad = false;
  #shape: Shape | undefined;
  #dtype: D | undefined;

  /** @internal Use `tensor()` and the ops. */
  constructor(handle: Handle) {
    this.#handle = handle;
    track(this);
    collected.register(this, undefined, this);
  }

  /** @internal Throws ERR_DISPOSED when there is nothing behind this tensor any more. */
  get handle(): Handle {
    if (this.#handle === null) throw new ConvgradError('ERR_DISPOSED', `this tensor${this.#known()} was disposed`);
    return this.#handle;
  }

  /** The sizes of the axes, outermost first; [] for a scalar. */
  get shape(): Shape {
    return (this.#shape ??= Object.freeze(native.shape(this.handle)));
  }

  /** The type of the elements. */
  get dtype(): D {
    return (this.#dtype ??= native.dtype(this.handle) as D);
  }

  /** Number of axes. */
  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Whether gradients flow to this tensor: set on a leaf, or derived from what an op was given. */
  get requiresGrad(): boolean {
    return this.#requiresGrad || this.node !== null;
  }

  set requiresGrad(value: boolean) {
    if (this.node !== null) {
      throw new ConvgradError(
        'ERR_STATE',
        'requiresGrad can be set only on a leaf, not on the result of an op: use detach()',
      );
    }
    if (value && this.dtype !== 'float32') {
      throw new ConvgradError('ERR_DTYPE', `only float32 tensors can require a gradient, this one is ${this.dtype}`);
    }
    this.#requiresGrad = value;
  }

  /** The elements in row-major order, copied, when all ops before have run. Does not block the event loop. */
  async data(): Promise<TypedArrays[D]> {
    return (await native.data(this.handle)) as TypedArrays[D];
  }

  /** Like `data()`, but blocks the thread until the result is there: for scripts and tests. */
  dataSync(): TypedArrays[D] {
    return native.dataSync(this.handle) as TypedArrays[D];
  }

  /** The elements as nested arrays; a number for a scalar. */
  async array(): Promise<NestedArray> {
    return nest(await this.data(), this.shape);
  }

  /** Like `array()`, but blocks, as `dataSync()` does. */
  arraySync(): NestedArray {
    return nest(this.dataSync(), this.shape);
  }

  /** The only element. Blocks, like `dataSync()`. Throws ERR_SHAPE when there are more. */
  item(): number {
    if (this.size !== 1) {
      throw new ConvgradError(
        'ERR_SHAPE',
        `item() wants a tensor of one element, this one has shape [${this.shape.join(', ')}]`,
      );
    }
    return this.dataSync()[0]!;
  }

  /** Overwrites the elements in place, in order with the ops before and after. */
  assign(source: Tensor<D>): this {
    native.copy(this.handle, source.handle);
    return this;
  }

  /** The same memory as a tensor that no gradient flows through. */
  detach(): Tensor<D> {
    return new Tensor<D>(native.reshape(this.handle, this.shape));
  }

  /** Whether the memory was given back: nothing can be done with the tensor any more. */
  get isDisposed(): boolean {
    return this.#handle === null;
  }

  /** Gives the memory back at once (ops that already use it are not affected). Disposing twice does nothing. */
  dispose(): void {
    if (this.#handle === null) return;
    native.dispose(this.#handle);
    this.#handle = null;
    collected.unregister(this);
    untrack(this);
    this.node?.release();
    this.node = null;
    this.grad?.dispose();
    this.grad = null;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Values, shape and dtype; long axes are abbreviated. Blocks, like `dataSync()`. */
  toString(): string {
    if (this.#handle === null) return `Tensor(disposed${this.#known()})`;
    return format(this.dataSync(), this.shape, this.dtype);
  }

  [inspect.custom](): string {
    try {
      return this.toString();
    } catch (error) {
      return `Tensor(unreadable: ${error instanceof Error ? error.message : String(error)})`;
    }
  }

  #known(): string {
    return this.#shape ? ` of shape [${this.#shape.join(', ')}]` : '';
  }
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

/** Product of the dimensions; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((size, dim) => size * dim, 1);
}

/**
 * A tensor from a typed array and a shape, or from (nested) arrays of numbers. The data is copied at once. Its dtype is
 * the typed array's own, float32 for plain numbers, unless one is given.
 * @throws ERR_SHAPE when the data does not fill the shape, or nested arrays are ragged
 */
export function tensor(data: Float32Array, shape?: Shape): Tensor;
export function tensor(data: Int32Array, shape?: Shape): Tensor<'int32'>;
export function tensor(data: Uint8Array | Uint8ClampedArray, shape?: Shape): Tensor<'uint8'>;
export function tensor<D extends DType = 'float32'>(
  data: TypedArray | NestedArray | readonly NestedArray[],
  shape?: Shape,
  dtype?: D,
): Tensor<D>;
export function tensor(
  data: TypedArray | Uint8ClampedArray | NestedArray | readonly NestedArray[],
  shape?: Shape,
  dtype?: DType,
): Tensor<DType> {
  if (ArrayBuffer.isView(data)) {
    // Memory that other threads may write while it is read is copied first.
    const own = data.buffer instanceof SharedArrayBuffer ? data.slice() : data;
    const converted = dtype === undefined ? own : convert(own, dtype);
    return new Tensor(native.fromTypedArray(converted as TypedArray, shape ?? [data.length]));
  }
  const inferred = shapeOf(data);
  const values = convert(flatten(data), dtype ?? 'float32');
  return new Tensor(native.fromTypedArray(values, shape ?? inferred));
}

/** A tensor of one value. */
export function full<D extends DType = 'float32'>(shape: Shape, value: number, dtype?: D): Tensor<D> {
  return new Tensor<D>(native.fill(dtype ?? 'float32', shape, value));
}

/** A tensor of zeros. */
export function zeros<D extends DType = 'float32'>(shape: Shape, dtype?: D): Tensor<D> {
  return full(shape, 0, dtype);
}

/** A tensor of ones. */
export function ones<D extends DType = 'float32'>(shape: Shape, dtype?: D): Tensor<D> {
  return full(shape, 1, dtype);
}

/** A scalar. */
export function scalar<D extends DType = 'float32'>(value: number, dtype?: D): Tensor<D> {
  return full([], value, dtype);
}

/** The shape of nested arrays. Throws ERR_SHAPE when they are ragged or hold anything but numbers. */
function shapeOf(data: NestedArray | readonly NestedArray[]): Shape {
  const shape: number[] = [];
  for (let level: NestedArray | readonly NestedArray[] | undefined = data; Array.isArray(level); level = level[0]) {
    shape.push(level.length);
  }
  const check = (value: unknown, depth: number): void => {
    if (depth === shape.length) {
      if (typeof value === 'number') return;
      throw new ConvgradError(
        'ERR_VALUE',
        `tensor: data must hold numbers, found ${value === null ? 'null' : typeof value}`,
      );
    }
    if (!Array.isArray(value) || value.length !== shape[depth]) {
      const found = Array.isArray(value) ? `an array of ${value.length}` : String(value);
      throw new ConvgradError(
        'ERR_SHAPE',
        `tensor: nested arrays are ragged: wanted arrays of ${shape[depth]} at depth ${depth}, found ${found}`,
      );
    }
    for (const item of value) check(item, depth + 1);
  };
  check(data, 0);
  return shape;
}

function flatten(data: NestedArray | readonly NestedArray[]): number[] {
  return typeof data === 'number' ? [data] : ((data as unknown[]).flat(Infinity) as number[]);
}

/** Fractions are truncated for the integer types; what they cannot hold is an error, never another number. */
function convert(values: ArrayLike<number>, dtype: DType): TypedArray {
  switch (dtype) {
    case 'float32':
      return Float32Array.from(values);
    case 'int32':
      return checkRange(Int32Array.from(values), values, dtype);
    case 'uint8':
      return checkRange(Uint8Array.from(values), values, dtype);
    default:
      throw new ConvgradError('ERR_DTYPE', `tensor: dtype must be 'float32', 'int32' or 'uint8', got ${String(dtype)}`);
  }
}

function checkRange<A extends Int32Array | Uint8Array>(converted: A, values: ArrayLike<number>, dtype: DType): A {
  const lost = converted.findIndex((value, i) => value !== Math.trunc(values[i]!));
  if (lost < 0) return converted;
  throw new ConvgradError('ERR_VALUE', `tensor: element ${lost} is ${values[lost]}, which ${dtype} cannot hold`);
}

function nest(values: TypedArray, shape: Shape): NestedArray {
  let level: NestedArray[] = Array.from(values);
  for (const dim of shape.slice(1).reverse()) {
    const next: NestedArray[] = [];
    for (let i = 0; i < level.length; i += dim) next.push(level.slice(i, i + dim));
    level = next;
  }
  return shape.length === 0 ? level[0]! : level;
}
