import type { DType, TypedArray } from '../native';

/** How an element type of a file becomes one of ours. */
export interface StoredType {
  /** Size of an element in the file. */
  readonly bytes: number;
  readonly dtype: DType;
  /**
   * The elements, which may share the memory of `bytes`. That must be aligned to eight bytes.
   * @throws RangeError naming the first value that our type cannot hold
   */
  readonly decode: (bytes: Uint8Array) => TypedArray;
}

/** A typed array over the memory of another. */
function view<A>(type: new (buffer: ArrayBuffer, offset: number, length: number) => A, size: number) {
  return (bytes: Uint8Array): A => new type(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length / size);
}
const asInt8 = view(Int8Array, 1);
const asUint8 = view(Uint8Array, 1);
const asInt16 = view(Int16Array, 2);
const asUint16 = view(Uint16Array, 2);
const asInt32 = view(Int32Array, 4);
const asUint32 = view(Uint32Array, 4);
const asFloat32 = view(Float32Array, 4);
const asFloat64 = view(Float64Array, 8);

/**
 * Every element type that can be read. F32, I32 and U8 are kept; F16 and BF16 widen exactly to float32, and BOOL, I8, I16
 * and U16 to uint8 or int32. F64 is rounded to float32, I64, U32 and U64 narrow to int32: a value out of range is an
 * error, never wrapped and never turned into infinity. Files are little-endian, as is every machine that convgrad is
 * built for.
 */
export const storedTypes: ReadonlyMap<string, StoredType> = new Map<string, StoredType>([
  ['F32', { bytes: 4, dtype: 'float32', decode: asFloat32 }],
  ['F16', { bytes: 2, dtype: 'float32', decode: (bytes) => widenFloat16(asUint16(bytes)) }],
  ['BF16', { bytes: 2, dtype: 'float32', decode: (bytes) => widenBfloat16(asUint16(bytes)) }],
  ['F64', { bytes: 8, dtype: 'float32', decode: (bytes) => roundFloat64(asFloat64(bytes)) }],
  ['I32', { bytes: 4, dtype: 'int32', decode: asInt32 }],
  ['I8', { bytes: 1, dtype: 'int32', decode: (bytes) => Int32Array.from(asInt8(bytes)) }],
  ['I16', { bytes: 2, dtype: 'int32', decode: (bytes) => Int32Array.from(asInt16(bytes)) }],
  ['U16', { bytes: 2, dtype: 'int32', decode: (bytes) => Int32Array.from(asUint16(bytes)) }],
  ['U32', { bytes: 4, dtype: 'int32', decode: (bytes) => narrowUint32(asUint32(bytes)) }],
  ['I64', { bytes: 8, dtype: 'int32', decode: (bytes) => narrowInt64(asInt32(bytes)) }],
  ['U64', { bytes: 8, dtype: 'int32', decode: (bytes) => narrowUint64(asInt32(bytes)) }],
  ['U8', { bytes: 1, dtype: 'uint8', decode: asUint8 }],
  ['BOOL', { bytes: 1, dtype: 'uint8', decode: asUint8 }],
]);

/** The element type of a file that holds ours unchanged. */
export const storedTypeOf: Readonly<Record<DType, string>> = { float32: 'F32', int32: 'I32', uint8: 'U8' };

let float16Values: Float32Array | undefined;

/** By a table of all 65,536 values. */
function widenFloat16(halves: Uint16Array): Float32Array {
  const table = (float16Values ??= Float32Array.from({ length: 65536 }, (_, bits) => float16(bits)));
  return Float32Array.from(halves, (half) => table[half]!);
}

/** The value of sign, five bits of exponent and ten of fraction. */
function float16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15));
}

/** A bfloat16 is the upper half of a float32. */
function widenBfloat16(halves: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
}

function roundFloat64(values: Float64Array): Float32Array {
  const rounded = Float32Array.from(values);
  const index = rounded.findIndex((value, i) => Math.abs(value) === Infinity && Number.isFinite(values[i]));
  if (index >= 0) throw outOfRange(values[index]!, index, 'float32');
  return rounded;
}

function narrowUint32(values: Uint32Array): Int32Array {
  const index = values.findIndex((value) => value > 0x7fffffff);
  if (index >= 0) throw outOfRange(values[index]!, index, 'int32');
  return Int32Array.from(values);
}

/** From pairs of low and high words: in range where the high word only repeats the low one's sign. */
function narrowInt64(words: Int32Array): Int32Array {
  return Int32Array.from({ length: words.length / 2 }, (_, i) => {
    const [low, high] = [words[2 * i]!, words[2 * i + 1]!];
    if (high !== low >> 31) throw outOfRange((BigInt(high) << 32n) + BigInt(low >>> 0), i, 'int32');
    return low;
  });
}

function narrowUint64(words: Int32Array): Int32Array {
  return Int32Array.from({ length: words.length / 2 }, (_, i) => {
    const [low, high] = [words[2 * i]!, words[2 * i + 1]!];
    if (high !== 0 || low < 0) throw outOfRange((BigInt(high >>> 0) << 32n) + BigInt(low >>> 0), i, 'int32');
    return low;
  });
}

function outOfRange(value: number | bigint, index: number, dtype: DType): RangeError {
  return new RangeError(`value ${value} at index ${index} does not fit ${dtype}`);
}
