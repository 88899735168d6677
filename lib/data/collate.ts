import { ConvgradError } from '../errors';
import { stack } from '../ops';
import { sameShape, Tensor, tensor, type DType, type NestedArray, type TypedArray, type TypedArrays } from '../tensor';
import { isNdArray, isPlainObject, type NdArray } from './structure';

/** What one member of a sample becomes in a batch, see `Dataset.batch`. */
export type CollatedMember<M> =
  M extends Tensor<infer D>
    ? Tensor<D>
    : M extends TypedArray
      ? TensorOf<M>
      : M extends NdArray<infer A>
        ? TensorOf<A>
        : M extends number
          ? Tensor<'int32'> | Tensor<'float32'>
          : M extends boolean
            ? Tensor<'uint8'>
            : M extends readonly Numbers[]
              ? Tensor<'float32'>
              : M extends object
                ? { -readonly [K in keyof M]: CollatedMember<M[K]> }
                : never;

/** What samples become in a batch: a tuple stays a tuple, an object an object, and their members become tensors. */
export type Collated<S> = S extends readonly unknown[]
  ? { -readonly [K in keyof S]: CollatedMember<S[K]> }
  : CollatedMember<S>;

type Numbers = number | readonly Numbers[];
type TensorOf<A> = { [D in DType]: A extends TypedArrays[D] ? Tensor<D> : never }[DType];

/** How plain numbers become tensors: `auto` is int32 where all of a batch are integers, and float32 otherwise. */
export type Scalars = 'auto' | 'int32' | 'float32';

interface Context {
  readonly scalars: Scalars;
  /** The number of the first sample, for messages. */
  readonly firstIndex: number;
  /** To be disposed when a later member fails. */
  readonly made: Tensor<DType>[];
}

/**
 * Makes a batch of samples, see `Dataset.batch`. The samples' tensors are copied and stay their owner's.
 * @param firstIndex the number of the first sample, for messages
 * @throws ERR_SHAPE and ERR_VALUE, naming the member and the sample, when they do not fit together
 */
export function collate<S>(samples: readonly S[], scalars: Scalars, firstIndex: number): Collated<S> {
  const context: Context = { scalars, firstIndex, made: [] };
  try {
    const first: unknown = samples[0];
    // At the top an array is a tuple, further down it is numbers.
    const batch = Array.isArray(first)
      ? collateTuple(samples as readonly unknown[], first.length, context)
      : collateMember(samples, '', context);
    return batch as Collated<S>;
  } catch (error) {
    for (const item of context.made) item.dispose();
    throw error;
  }
}

function collateTuple(samples: readonly unknown[], length: number, context: Context): unknown[] {
  const batch: unknown[] = [];
  for (let position = 0; position < length; ++position) {
    const column = samples.map((sample, i) => {
      if (Array.isArray(sample) && sample.length === length) return sample[position] as unknown;
      throw misfit(context, '', i, `is ${describe(sample)}, wanted a tuple of ${length} like the first`);
    });
    batch.push(collateMember(column, `[${position}]`, context));
  }
  return batch;
}

function collateObject(
  samples: readonly unknown[],
  keys: readonly string[],
  path: string,
  context: Context,
): Record<string, unknown> {
  const batch: [string, unknown][] = [];
  for (const key of keys) {
    const column = samples.map((sample, i) => {
      if (isPlainObject(sample) && Object.hasOwn(sample, key)) return sample[key];
      throw misfit(context, path, i, `is ${describe(sample)}, wanted an object with '${key}' like the first`);
    });
    batch.push([key, collateMember(column, path === '' ? key : `${path}.${key}`, context)]);
  }
  return Object.fromEntries(batch);
}

function collateMember(values: readonly unknown[], path: string, context: Context): unknown {
  const first = values[0];
  if (isPlainObject(first) && !isNdArray(first)) return collateObject(values, Object.keys(first), path, context);
  if (typeof first === 'number') return made(context, stackNumbers(values, path, context), [values.length]);
  if (typeof first === 'boolean') return made(context, stackBooleans(values, path, context), [values.length]);
  if (first instanceof Tensor) return collateTensors(values, path, context);
  const arrays = values.map((value, i) => toNdArray(value, path, i, context));
  const { data, shape } = arrays[0]!;
  const [dtype, wanted] = [dtypeOf(data), describe(arrays[0])];
  if (dtype === undefined)
    throw misfit(context, path, 0, `is ${wanted}; Float32Array, Int32Array and Uint8Array can be batched`);
  const stacked = new typedArrays[dtype](data.length * values.length);
  arrays.forEach((array, i) => {
    if (dtypeOf(array.data) !== dtype || !sameShape(array.shape, shape) || array.data.length !== data.length) {
      throw misfit(context, path, i, `is ${describe(array)}, wanted ${wanted} like the first of the batch`);
    }
    stacked.set(array.data, i * data.length);
  });
  return made(context, stacked, [values.length, ...shape]);
}

function collateTensors(values: readonly unknown[], path: string, context: Context): Tensor<DType> {
  const [first] = values as [Tensor<DType>];
  values.forEach((value, i) => {
    if (value instanceof Tensor && value.dtype === first.dtype && sameShape(value.shape, first.shape)) return;
    throw misfit(context, path, i, `is ${describe(value)}, wanted ${describe(first)} like the first of the batch`);
  });
  const result = stack(values as Tensor<DType>[]);
  context.made.push(result);
  return result;
}

const typedArrays = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array };

/** By class, so that a Buffer is uint8 too. */
function dtypeOf(data: unknown): DType | undefined {
  return (Object.keys(typedArrays) as DType[]).find((dtype) => data instanceof typedArrays[dtype]);
}

function made(context: Context, data: TypedArray, shape: readonly number[]): Tensor<DType> {
  const result: Tensor<DType> = tensor(data, shape);
  context.made.push(result);
  return result;
}

function stackNumbers(values: readonly unknown[], path: string, context: Context): TypedArray {
  const isInt32 = (value: unknown) => ((value as number) | 0) === value;
  values.forEach((value, i) => {
    if (typeof value !== 'number') throw misfit(context, path, i, `is ${describe(value)}, wanted a number`);
    if (context.scalars === 'int32' && !isInt32(value)) throw misfit(context, path, i, `is ${value}, wanted an int32`);
  });
  const numbers = values as readonly number[];
  const integers = context.scalars === 'int32' || (context.scalars === 'auto' && numbers.every(isInt32));
  return integers ? Int32Array.from(numbers) : Float32Array.from(numbers);
}

function stackBooleans(values: readonly unknown[], path: string, context: Context): Uint8Array {
  return Uint8Array.from(values, (value, i) => {
    if (typeof value !== 'boolean') throw misfit(context, path, i, `is ${describe(value)}, wanted a boolean`);
    return Number(value);
  });
}

function toNdArray(value: unknown, path: string, index: number, context: Context): NdArray {
  if (isNdArray(value)) return value;
  if (ArrayBuffer.isView(value)) return { data: value as TypedArray, shape: [(value as TypedArray).length] };
  if (Array.isArray(value)) {
    const shape: number[] = [];
    for (let level: unknown = value; Array.isArray(level); level = level[0]) shape.push(level.length);
    const data = value.flat(Infinity) as NestedArray[];
    const isFull = data.length === shape.reduce((size, dim) => size * dim, 1);
    if (isFull && data.every((item) => typeof item === 'number')) return { data: Float32Array.from(data), shape };
    throw misfit(context, path, index, 'is an array that is ragged or holds more than numbers');
  }
  const wanted = 'numbers, booleans, typed arrays, {data, shape}, tensors and (in objects and tuples) nested arrays';
  throw misfit(context, path, index, `is ${describe(value)}; ${wanted} can be batched`);
}

function misfit({ firstIndex }: Context, path: string, index: number, message: string): ConvgradError {
  const member = path === '' ? '' : `${path} of `;
  const code = message.includes('like the first of the batch') ? 'ERR_SHAPE' : 'ERR_VALUE';
  return new ConvgradError(code, `batch: ${member}sample ${firstIndex + index} ${message}`);
}

function describe(value: unknown): string {
  if (isNdArray(value)) return `${value.data.constructor.name} of shape [${value.shape.join(', ')}]`;
  if (value instanceof Tensor) return `a ${value.dtype} tensor of shape [${value.shape.join(', ')}]`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'object') return `an object of ${value.constructor?.name ?? 'no class'}`;
  return `a ${typeof value}`;
}
