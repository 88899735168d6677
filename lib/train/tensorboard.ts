import { open, mkdir, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { ConvgradError } from '../errors';

let writers = 0;

/**
 * Writes an event file that TensorBoard shows: `tensorboard --logdir FOLDER`. Each folder is a run of its own there.
 * Events reach the file in the order of the calls.
 */
export class TensorBoardWriter {
  readonly #file: FileHandle;
  #written: Promise<void> = Promise.resolve();

  private constructor(
    readonly path: string,
    file: FileHandle,
  ) {
    this.#file = file;
  }

  /** Makes the folder where it is missing, and a new file in it. */
  static async open(folder: string): Promise<TensorBoardWriter> {
    await mkdir(folder, { recursive: true });
    const seconds = Math.floor(Date.now() / 1000);
    const path = join(folder, `events.out.tfevents.${seconds}.${hostname()}.${process.pid}.${writers++}`);
    const writer = new TensorBoardWriter(path, await open(path, 'ax'));
    await writer.#write([string(3, 'brain.Event:2')]);
    return writer;
  }

  /**
   * @param tag the name of the curve; a part before a slash groups curves
   * @param step its place on the horizontal axis, an integer of at least 0
   */
  scalar(tag: string, value: number, step: number): Promise<void> {
    return this.#summary(tag, step, float(2, value));
  }

  /** The distribution of values, such as those of a layer's weights, in 30 bins. Values that are not finite are left out. */
  histogram(tag: string, values: ArrayLike<number>, step: number): Promise<void> {
    return this.#summary(tag, step, message(5, histogramFields(values)));
  }

  /** Waits until everything is written, and closes the file. */
  async close(): Promise<void> {
    await this.#written.catch(() => undefined);
    await this.#file.close();
  }

  async #summary(tag: string, step: number, value: Buffer): Promise<void> {
    if (!Number.isSafeInteger(step) || step < 0) {
      throw new ConvgradError('ERR_VALUE', `TensorBoardWriter: step must be an integer of at least 0, got ${step}`);
    }
    await this.#write([integer(2, step), message(5, [message(1, [string(1, tag), value])])]);
  }

  /** Appends an event. One at a time, for writes to a file that overlap have no order. */
  #write(fields: readonly Buffer[]): Promise<void> {
    const bytes = record(Buffer.concat([double(1, Date.now() / 1000), ...fields]));
    this.#written = this.#written.then(() => this.#file.writeFile(bytes));
    return this.#written;
  }
}

const bins = 30;

/** HistogramProto: min 1, max 2, num 3, sum 4, sum_squares 5, bucket_limit 6, bucket 7. */
function histogramFields(values: ArrayLike<number>): Buffer[] {
  let [min, max, count, sum, squares] = [Infinity, -Infinity, 0, 0, 0];
  for (let i = 0; i < values.length; ++i) {
    const value = values[i]!;
    if (!Number.isFinite(value)) continue;
    min = Math.min(min, value);
    max = Math.max(max, value);
    count += 1;
    sum += value;
    squares += value * value;
  }
  if (count === 0) [min, max] = [0, 0];
  const width = (max - min) / bins;
  const counts = new Float64Array(bins);
  for (let i = 0; i < values.length; ++i) {
    const value = values[i]!;
    if (Number.isFinite(value)) counts[width > 0 ? Math.min(bins - 1, Math.floor((value - min) / width)) : 0]! += 1;
  }
  const limits = Float64Array.from(counts, (_, i) => (i === bins - 1 ? max : min + width * (i + 1)));
  return [
    ...[min, max, count, sum, squares].map((value, i) => double(i + 1, value)),
    packedDoubles(6, limits),
    packedDoubles(7, counts),
  ];
}

// The framing of a TFRecord: length, its checksum, data, their checksum.

function record(data: Buffer): Buffer {
  const header = Buffer.alloc(12);
  header.writeBigUInt64LE(BigInt(data.length));
  header.writeUInt32LE(maskedCrc(header.subarray(0, 8)), 8);
  const footer = Buffer.alloc(4);
  footer.writeUInt32LE(maskedCrc(data));
  return Buffer.concat([header, data, footer]);
}

/** As TensorFlow stores it: a checksum over data that hold checksums is weak, hence the mask. */
function maskedCrc(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** CRC-32 by the polynomial of Castagnoli; `zlib.crc32` has another. */
function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = crcTable[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; ++bit) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

// The fields of protocol buffers: a key of the field's number and the kind of its value, then the value.

function integer(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)]);
}

function double(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([varint(field * 8 + 1), bytes]);
}

function float(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([varint(field * 8 + 5), bytes]);
}

function string(field: number, value: string): Buffer {
  return message(field, [Buffer.from(value)]);
}

function packedDoubles(field: number, values: Float64Array): Buffer {
  return message(field, [Buffer.from(values.buffer)]);
}

function message(field: number, parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([varint(field * 8 + 2), varint(body.length), body]);
}

/** Seven bits a byte, the lowest first; all but the last have the highest bit set. By division: steps may pass 2^31. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Buffer.from([...bytes, value]);
}
