import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { TrainingRun } from '../../lib/train/callback';
import { TensorBoard } from '../../lib/train/callbacks';
import { TensorBoardWriter } from '../../lib/train/tensorboard';
import { errorOf } from '../support/compare';
import { rejectionOf, temporaryFolder } from '../support/files';

/** Bit by bit, unlike the code under test. */
function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; ++bit) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

function masked(data: Uint8Array): number {
  const crc = BigInt(crc32c(data));
  const rotated = ((crc >> 15n) | (crc << 17n)) & 0xffffffffn;
  return Number((rotated + 0xa282ead8n) & 0xffffffffn);
}

it('checks with the right polynomial', () => {
  // The check value of CRC-32C, and the 32 zeros of RFC 3720.
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
});

/** The records of a file; fails unless every checksum is right and nothing is left over. */
function records(path: string): Buffer[] {
  const bytes = readFileSync(path);
  const found: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    const length = Number(bytes.readBigUInt64LE(at));
    expect(bytes.readUInt32LE(at + 8)).toBe(masked(bytes.subarray(at, at + 8)));
    const data = bytes.subarray(at + 12, at + 12 + length);
    expect(data.length).toBe(length);
    expect(bytes.readUInt32LE(at + 12 + length)).toBe(masked(data));
    found.push(data);
    at += 16 + length;
  }
  return found;
}

type Fields = Map<number, (number | Buffer)[]>;

/** The fields of a message, by number. */
function parse(bytes: Buffer): Fields {
  const fields: Fields = new Map();
  let at = 0;
  const varint = () => {
    let [value, shift] = [0n, 0n];
    for (;;) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 127) << shift;
      shift += 7n;
      if (byte < 128) return Number(value);
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const [field, kind] = [key >> 3, key & 7];
    let value: number | Buffer;
    if (kind === 0) value = varint();
    else if (kind === 1) value = bytes.readDoubleLE((at += 8) - 8);
    else if (kind === 5) value = bytes.readFloatLE((at += 4) - 4);
    else {
      const length = varint();
      value = bytes.subarray(at, (at += length));
      expect(value.length).toBe(length);
    }
    fields.set(field, [...(fields.get(field) ?? []), value]);
  }
  return fields;
}

const inner = (fields: Fields, field: number) => parse(fields.get(field)![0] as Buffer);
const text = (fields: Fields, field: number) => (fields.get(field)![0] as Buffer).toString();
const doubles = (bytes: Buffer) => Array.from({ length: bytes.length / 8 }, (_, i) => bytes.readDoubleLE(8 * i));

/** Tag, step and value of the scalars of a file. */
function scalars(path: string): [string, number, number][] {
  return records(path)
    .slice(1)
    .map((data) => {
      const event = parse(data);
      const value = inner(inner(event, 5), 1);
      return [text(value, 1), event.get(2)![0] as number, value.get(2)![0] as number];
    });
}

function eventFile(folder: string): string {
  const names = readdirSync(folder);
  expect(names.length).toBe(1);
  expect(names[0]).toMatch(/^events\.out\.tfevents\.\d{10}\./);
  return join(folder, names[0]!);
}

describe('the file', () => {
  it('begins with its version, and has scalars with their step and time', async () => {
    const folder = join(temporaryFolder(), 'new', 'run');
    const before = Date.now() / 1000;
    const writer = await TensorBoardWriter.open(folder);
    // Not awaited one by one: the order must stay.
    const steps = [0, 1, 127, 128, 300, 2 ** 31, 2 ** 40 + 1];
    await Promise.all(steps.map((step) => writer.scalar('loss/größe', 0.5 + step, step)));
    await writer.scalar('nan', NaN, 3);
    await writer.close();

    const path = eventFile(folder);
    expect(path).toBe(writer.path);
    const first = parse(records(path)[0]!);
    expect(text(first, 3)).toBe('brain.Event:2');
    expect(first.get(1)![0]).toBeGreaterThanOrEqual(before);
    expect(first.get(1)![0]).toBeLessThanOrEqual(Date.now() / 1000);
    expect(scalars(path)).toEqual([
      ...steps.map((step) => ['loss/größe', step, Math.fround(0.5 + step)]),
      ['nan', 3, NaN],
    ]);
  });

  it('has histograms', async () => {
    const folder = temporaryFolder();
    const writer = await TensorBoardWriter.open(folder);
    await writer.histogram('weights', Float32Array.of(0, 1, 2, 3, 3, NaN, -Infinity), 7);
    await writer.histogram('one', [5, 5], 8);
    await writer.histogram('none', [], 9);
    await writer.close();
    const parsed = records(eventFile(folder))
      .slice(1)
      .map((data) => inner(inner(inner(parse(data), 5), 1), 5));
    const stats = parsed.map((fields) => [1, 2, 3, 4, 5].map((field) => fields.get(field)![0]));
    expect(stats).toEqual([
      [0, 3, 5, 9, 23],
      [5, 5, 2, 10, 50],
      [0, 0, 0, 0, 0],
    ]);
    const [limits, counts] = [6, 7].map((field) => doubles(parsed[0]!.get(field)![0] as Buffer));
    expect(limits!.length).toBe(30);
    expect(limits!.at(-1)).toBe(3);
    expect([counts![0], counts![10], counts![20], counts![29]]).toEqual([1, 1, 1, 2]);
    expect(counts!.reduce((a, b) => a + b)).toBe(5);
  });

  it('refuses a step that is none', async () => {
    const writer = await TensorBoardWriter.open(temporaryFolder());
    for (const step of [-1, 0.5, NaN]) {
      expect((await rejectionOf(writer.scalar('x', 1, step))).message).toContain(`at least 0, got ${step}`);
    }
    await writer.close();
  });
});

describe('the callback', () => {
  const run = { learningRate: 0.25 } as TrainingRun;

  it('writes curves of training and validation under the same names', async () => {
    const folder = temporaryFolder();
    const callback = new TensorBoard(folder, { batchFrequency: 2 });
    for (let repeat = 0; repeat < 2; ++repeat) {
      await callback.onTrainBegin();
      for (const epoch of [0, 1]) {
        for (const step of [0, 1, 2]) await callback.onBatchEnd(step, { loss: 8 + step });
        await callback.onEpochEnd(epoch, { loss: 2 - epoch, val_loss: 3 - epoch }, run);
      }
      await callback.onTrainEnd();
    }
    expect(readdirSync(folder).sort()).toEqual(['train', 'validation']);
    const [first, second] = readdirSync(join(folder, 'train')).map((name) => scalars(join(folder, 'train', name)));
    expect(first).toEqual([
      ['batch_loss', 0, 8],
      ['batch_loss', 2, 10],
      ['epoch_learning_rate', 0, 0.25],
      ['epoch_loss', 0, 2],
      ['batch_loss', 4, 9],
      ['epoch_learning_rate', 1, 0.25],
      ['epoch_loss', 1, 1],
    ]);
    expect(second).toEqual(first);
    const validation = join(folder, 'validation');
    expect(scalars(join(validation, readdirSync(validation)[0]!))).toEqual([
      ['epoch_loss', 0, 3],
      ['epoch_loss', 1, 2],
    ]);
  });

  it('closes its files when training ends before an epoch does', async () => {
    const callback = new TensorBoard(temporaryFolder());
    await callback.onTrainBegin();
    await callback.onTrainEnd();
    await callback.onTrainEnd();
    expect(errorOf(() => new TensorBoard('x', { batchFrequency: 0.5 })).code).toBe('ERR_VALUE');
  });
});

// CONVGRAD_PYTHON names a Python that has the package tensorboard.
const python = process.env['CONVGRAD_PYTHON'] ?? 'python3';
const reader = 'tensorboard.backend.event_processing.event_accumulator';
const hasTensorBoard = spawnSync(python, ['-c', `import ${reader}`]).status === 0;
const reason = hasTensorBoard ? '' : ` [skipped: ${python} has no tensorboard, see CONVGRAD_PYTHON]`;

describe.skipIf(!hasTensorBoard)(`TensorBoard's own reader${reason}`, () => {
  it('finds the scalars and the histograms', async () => {
    const folder = temporaryFolder();
    const writer = await TensorBoardWriter.open(folder);
    for (const step of [0, 1, 200]) await writer.scalar('epoch_loss', 1 / (step + 1), step);
    await writer.histogram('weights', Float32Array.of(-1, 0, 0.5, 1), 4);
    await writer.close();
    const script = [
      'import json, sys',
      `from ${reader} import EventAccumulator`,
      'events = EventAccumulator(sys.argv[1]).Reload()',
      "histogram = events.Histograms('weights')[0]",
      "print(json.dumps({'scalars': [[e.step, e.value] for e in events.Scalars('epoch_loss')],",
      "  'histogram': [histogram.step, histogram.histogram_value.num, histogram.histogram_value.min, histogram.histogram_value.max]}))",
    ].join('\n');
    const { stdout, stderr, status } = spawnSync(python, ['-c', script, folder], { encoding: 'utf8' });
    expect(status, stderr).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      scalars: [0, 1, 200].map((step) => [step, Math.fround(1 / (step + 1))]),
      histogram: [4, 4, -1, 1],
    });
  });
});
