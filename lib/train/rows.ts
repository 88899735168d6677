import type { NdArray } from '../data';
import { ConvgradError } from '../errors';
import { gather, slice } from '../ops';
import { sizeOf, Tensor, tensor, type DType, type NestedArray, type Shape, type TypedArray } from '../tensor';
import { inTurns } from './turns';

/** An array that has a sample in each row: a tensor, a typed array with a shape, or (nested) arrays of numbers. */
export type ArrayInput = Tensor<DType> | NdArray<TypedArray> | TypedArray | readonly NestedArray[];

/** The rows of an array, from which batches are made. */
export interface Rows {
  readonly count: number;
  /** The shape of a row. */
  readonly shape: Shape;
  readonly dtype: DType;
  /** The rows [begin, end) as a tensor of the caller's. */
  slice(begin: number, end: number): Tensor<DType>;
  /** These rows, in this order, as a tensor of the caller's. */
  gather(indices: Int32Array): Tensor<DType>;
  /** The rows [begin, end) by themselves. */
  part(begin: number, end: number): Rows;
  /** All elements on the host, without blocking. */
  data(): Promise<TypedArray>;
}

/** Rows in JavaScript's memory. Only batches go to the device, so the data may be larger than its memory. */
export class HostRows implements Rows {
  readonly dtype: DType;
  private readonly rowSize: number;

  constructor(
    private readonly values: TypedArray,
    readonly count: number,
    readonly shape: Shape,
  ) {
    this.dtype = values instanceof Float32Array ? 'float32' : values instanceof Int32Array ? 'int32' : 'uint8';
    this.rowSize = sizeOf(shape);
  }

  slice(begin: number, end: number): Tensor<DType> {
    return tensor<DType>(this.values.subarray(begin * this.rowSize, end * this.rowSize), [end - begin, ...this.shape]);
  }

  gather(indices: Int32Array): Tensor<DType> {
    const { rowSize } = this;
    const rows = new (this.values.constructor as new (length: number) => TypedArray)(indices.length * rowSize);
    for (let i = 0; i < indices.length; i++) {
      const begin = indices[i]! * rowSize;
      if (rowSize === 1) rows[i] = this.values[begin]!;
      else rows.set(this.values.subarray(begin, begin + rowSize), i * rowSize);
    }
    return tensor<DType>(rows, [indices.length, ...this.shape]);
  }

  part(begin: number, end: number): HostRows {
    return new HostRows(this.values.subarray(begin * this.rowSize, end * this.rowSize), end - begin, this.shape);
  }

  async data(): Promise<TypedArray> {
    return this.values;
  }
}

/** Rows of a tensor, which stays its owner's. Batches are copied on the device. */
export class DeviceRows implements Rows {
  readonly count: number;
  readonly shape: Shape;
  readonly dtype: DType;

  constructor(
    private readonly source: Tensor<DType>,
    private readonly first = 0,
    count = source.shape[0]! - first,
  ) {
    this.count = count;
    this.shape = source.shape.slice(1);
    this.dtype = source.dtype;
  }

  slice(begin: number, end: number): Tensor<DType> {
    if (end - begin === this.source.shape[0]) return this.source.detach(); // all of it, without a copy
    return slice(this.source, [this.first + begin], [end - begin]);
  }

  gather(indices: Int32Array): Tensor<DType> {
    using at = tensor(this.first === 0 ? indices : indices.map((index) => index + this.first));
    return gather(this.source, at);
  }

  part(begin: number, end: number): DeviceRows {
    return new DeviceRows(this.source, this.first + begin, end - begin);
  }

  async data(): Promise<TypedArray> {
    using own = this.slice(0, this.count);
    return await own.data();
  }
}

/**
 * The rows of what a user passed. Long arrays are converted a few milliseconds at a time.
 * @param what what errors call it: "fit: x"
 * @throws ERR_SHAPE, ERR_VALUE, ERR_DTYPE, ERR_DISPOSED
 */
export async function rowsOf(input: ArrayInput, what: string): Promise<Rows> {
  if (input instanceof Tensor) return ofTensor(input, what);
  if (ArrayBuffer.isView(input)) return hostRows(await plain(input, what), [input.length], what);
  if (Array.isArray(input)) return await ofNestedArrays(input as readonly NestedArray[], what);
  const { data, shape } = (input ?? {}) as Partial<NdArray>;
  if (ArrayBuffer.isView(data) && Array.isArray(shape)) return hostRows(await plain(data, what), shape as Shape, what);
  throw new ConvgradError(
    'ERR_VALUE',
    `${what} must be a tensor, a typed array, { data, shape } or an array of numbers, got ${describe(input)}`,
  );
}

function ofTensor(input: Tensor<DType>, what: string): Rows {
  if (input.isDisposed) throw new ConvgradError('ERR_DISPOSED', `${what} is a tensor that was disposed`);
  checkRows(input.shape, what);
  return new DeviceRows(input);
}

function hostRows(values: TypedArray, shape: Shape, what: string): Rows {
  if (sizeOf(shape) !== values.length) {
    throw new ConvgradError(
      'ERR_SHAPE',
      `${what}: data has ${values.length} elements, its shape [${shape.join(', ')}] wants ${sizeOf(shape)}`,
    );
  }
  checkRows(shape, what);
  return new HostRows(values, shape[0]!, shape.slice(1));
}

function checkRows(shape: Shape, what: string): void {
  if (shape.length === 0) {
    throw new ConvgradError('ERR_SHAPE', `${what} is a scalar, wanted one row a sample in its first axis`);
  }
  if (sizeOf(shape) === 0) {
    throw new ConvgradError('ERR_SHAPE', `${what} is empty: it has shape [${shape.join(', ')}]`);
  }
}

/** One of our element types; float64 is rounded, and other integers become int32. */
async function plain(values: ArrayBufferView, what: string): Promise<TypedArray> {
  if (values instanceof Float32Array || values instanceof Int32Array || values instanceof Uint8Array) return values;
  if (values instanceof Uint8ClampedArray) return new Uint8Array(values.buffer, values.byteOffset, values.length);
  const isSmall = values instanceof Int8Array || values instanceof Int16Array || values instanceof Uint16Array;
  if (!isSmall && !(values instanceof Float64Array)) {
    const name = Object.prototype.toString.call(values).slice(8, -1);
    throw new ConvgradError('ERR_DTYPE', `${what} is a ${name}, wanted float32, int32, uint8 or float64 elements`);
  }
  const converted = isSmall ? new Int32Array(values.length) : new Float32Array(values.length);
  await inTurns(values.length, (begin, end) => converted.set(values.subarray(begin, end), begin), 2 ** 16);
  return converted;
}

async function ofNestedArrays(input: readonly NestedArray[], what: string): Promise<Rows> {
  const shape: number[] = [];
  for (let level: unknown = input; Array.isArray(level); level = level[0]) shape.push(level.length);
  checkRows(shape, what);
  const rowShape = shape.slice(1);
  const rowSize = sizeOf(rowShape);
  const values = new Float32Array(sizeOf(shape));
  const fill = (value: unknown, axis: number, offset: number, row: number): number => {
    if (axis === rowShape.length) {
      if (typeof value !== 'number') {
        throw new ConvgradError('ERR_VALUE', `${what}: row ${row} has ${describe(value)}, wanted numbers`);
      }
      values[offset] = value;
      return offset + 1;
    }
    if (!Array.isArray(value) || value.length !== rowShape[axis]) {
      const wanted = `an array of ${rowShape[axis]} as in row 0`;
      throw new ConvgradError('ERR_SHAPE', `${what}: row ${row} has ${describe(value)}, wanted ${wanted}`);
    }
    let next = offset;
    for (const item of value) next = fill(item, axis + 1, next, row);
    return next;
  };
  await inTurns(
    input.length,
    (begin, end) => {
      for (let row = begin; row < end; row++) fill(input[row], 0, row * rowSize, row);
    },
    Math.max(1, Math.floor(2 ** 12 / rowSize)),
  );
  return new HostRows(values, input.length, rowShape);
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return Array.isArray(value) ? `an array of ${value.length}` : `a ${typeof value}`;
}
