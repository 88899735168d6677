import { open, stat, type FileHandle } from 'node:fs/promises';
import { ConvgradError } from '../errors';
import type { DType, TypedArray } from '../native';
import type { Tensor } from '../tensor';
import { tensor } from '../tensor';
import { writeFileAtomic } from './atomicWrite';
import {
  formatError,
  headerLength,
  parseHeader,
  prefixBytes,
  type SafetensorsEntry,
  type SafetensorsHeader,
} from './safetensorsHeader';
import { storedTypeOf, storedTypes } from './safetensorsTypes';

export type { SafetensorsEntry } from './safetensorsHeader';

/** Tensors by name, as a module's `stateDict()` gives them. */
export type NamedTensors = ReadonlyMap<string, Tensor<DType>> | Readonly<Record<string, Tensor<DType>>>;

export interface SafetensorsContents {
  /** By name, in the order in which they lie in the file. They are the caller's to dispose. */
  tensors: Map<string, Tensor<DType>>;
  /** The file's `__metadata__`. */
  metadata: Readonly<Record<string, string>>;
}

/** The bytes of a file, or of a buffer that stands for one. */
interface Source {
  readonly name: string;
  readonly bytes: number;
  /** A copy of the bytes [begin, end), in memory aligned to eight. */
  read(begin: number, end: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/**
 * An open safetensors file: its header is read and checked, tensors are read when asked for. Nothing in a file is ever
 * executed, and nothing is allocated that the file does not have the bytes for.
 */
export class SafetensorsFile {
  /** What the file holds, by name, in the order in which it lies there. */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  /** The file's `__metadata__`. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly #source: Source;

  private constructor(source: Source, header: SafetensorsHeader) {
    this.#source = source;
    this.entries = header.entries;
    this.metadata = header.metadata;
  }

  /**
   * @param source a path, or the contents of a file
   * @param name what errors call a buffer
   * @throws ERR_FORMAT naming the file, and the tensor where there is one
   */
  static async open(source: string | Uint8Array, name = 'safetensors buffer'): Promise<SafetensorsFile> {
    const opened = typeof source === 'string' ? await openFile(source) : bufferSource(source, name);
    try {
      const prefix = await opened.read(0, Math.min(prefixBytes, opened.bytes));
      const length = headerLength(prefix, opened.bytes, opened.name);
      const header = await opened.read(prefixBytes, prefixBytes + length);
      return new SafetensorsFile(opened, parseHeader(header, opened.bytes, opened.name));
    } catch (error) {
      await opened.close();
      throw error;
    }
  }

  /**
   * The elements of a tensor, converted to one of our types (see `storedTypes`).
   * @throws ERR_VALUE for a name that the file does not have, ERR_FORMAT for a value that does not fit
   */
  async read(name: string): Promise<TypedArray> {
    const entry = this.entries.get(name);
    if (entry === undefined) {
      throw new ConvgradError('ERR_VALUE', `${this.#source.name} has no tensor '${name}'`);
    }
    const bytes = await this.#source.read(entry.begin, entry.end);
    try {
      return storedTypes.get(entry.dtype)!.decode(bytes);
    } catch (error) {
      throw formatError(this.#source.name, (error as RangeError).message, name);
    }
  }

  /** A tensor, which is the caller's to dispose. Throws as `read` does, and ERR_FORMAT for a shape no tensor can have. */
  async tensor(name: string): Promise<Tensor<DType>> {
    const data = await this.read(name);
    const { shape } = this.entries.get(name)!;
    try {
      return tensor(data, shape);
    } catch (error) {
      if (!(error instanceof ConvgradError) || !['ERR_SHAPE', 'ERR_VALUE'].includes(error.code)) throw error;
      throw formatError(this.#source.name, error.message, name);
    }
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}

/**
 * Reads a safetensors file. Element types: F32, I32 and U8 as they are, F16, BF16 and F64 as float32, other integers as
 * int32 where they fit.
 * @param source a path, or the contents of a file
 * @throws ERR_FORMAT naming the file and the tensor
 */
export async function readSafetensors(source: string | Uint8Array): Promise<SafetensorsContents> {
  const file = await SafetensorsFile.open(source);
  const tensors = new Map<string, Tensor<DType>>();
  try {
    for (const name of file.entries.keys()) tensors.set(name, await file.tensor(name));
  } catch (error) {
    for (const loaded of tensors.values()) loaded.dispose();
    throw error;
  } finally {
    await file.close();
  }
  return { tensors, metadata: file.metadata };
}

/**
 * Writes tensors to a safetensors file, as they are at the time of the call. A crash leaves the old file whole.
 * @param metadata what goes into `__metadata__`
 */
export async function writeSafetensors(
  path: string,
  tensors: NamedTensors,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  await writeFileAtomic(path, await encode(tensors, metadata));
}

/** The contents of a safetensors file, see `writeSafetensors`. */
export async function encodeSafetensors(
  tensors: NamedTensors,
  metadata: Readonly<Record<string, string>> = {},
): Promise<Uint8Array> {
  return Buffer.concat(await encode(tensors, metadata));
}

async function encode(tensors: NamedTensors, metadata: Readonly<Record<string, string>>): Promise<Uint8Array[]> {
  const named = [...(tensors instanceof Map ? tensors : Object.entries(tensors))] as [string, Tensor<DType>][];
  // Wide elements first, so that each tensor is aligned to its own.
  named.sort(([, a], [, b]) => bytesPerElement(b) - bytesPerElement(a));
  const entries: [string, unknown][] = [['__metadata__', metadata]];
  let position = 0;
  for (const [name, value] of named) {
    if (name === '__metadata__') {
      throw new ConvgradError('ERR_VALUE', 'safetensors: a tensor cannot be named __metadata__');
    }
    const end = position + value.size * bytesPerElement(value);
    entries.push([name, { dtype: storedTypeOf[value.dtype], shape: value.shape, data_offsets: [position, end] }]);
    position = end;
  }
  const header = encodeHeader(Object.fromEntries(entries));
  // All reads are queued before the first wait: together they are one moment of a model that is being trained.
  const contents = await Promise.all(named.map(([, value]) => value.data()));
  return [header, ...contents.map((data) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength))];
}

/** The length and the JSON, padded with spaces so that the tensors begin at a multiple of eight. */
function encodeHeader(header: Readonly<Record<string, unknown>>): Uint8Array {
  const json = Buffer.from(JSON.stringify(header));
  const bytes = Buffer.alloc(prefixBytes + Math.ceil(json.length / 8) * 8, ' ');
  bytes.writeBigUInt64LE(BigInt(bytes.length - prefixBytes));
  json.copy(bytes, prefixBytes);
  return bytes;
}

function bytesPerElement(value: Tensor<DType>): number {
  return storedTypes.get(storedTypeOf[value.dtype])!.bytes;
}

function bufferSource(buffer: Uint8Array, name: string): Source {
  return {
    name,
    bytes: buffer.length,
    read: async (begin, end) => new Uint8Array(buffer.subarray(begin, end)),
    close: async () => undefined,
  };
}

async function openFile(path: string): Promise<Source> {
  // Before opening it: that would wait for the other end of a pipe.
  const stats = await stat(path);
  if (!stats.isFile()) throw formatError(path, 'not a safetensors file: it is not a regular file');
  const file = await open(path, 'r');
  return {
    name: path,
    bytes: stats.size,
    read: (begin, end) => readRange(file, path, begin, end),
    close: () => file.close(),
  };
}

async function readRange(file: FileHandle, path: string, begin: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - begin);
  // One read call takes less than 2 GiB.
  const most = 2 ** 30;
  for (let position = begin; position < end;) {
    const { bytesRead } = await file.read(bytes, position - begin, Math.min(end - position, most), position);
    if (bytesRead === 0) throw formatError(path, `truncated while it was read: it ends at ${position}, not at ${end}`);
    position += bytesRead;
  }
  return bytes;
}
