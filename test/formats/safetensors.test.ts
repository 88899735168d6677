import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { memory, tensor, type DType, type Tensor } from '../../lib';
import { encodeSafetensors, readSafetensors, SafetensorsFile, writeSafetensors } from '../../lib/formats';
import { rejectionOf, temporaryFolder } from '../support/files';
import { TestData } from '../support/random';
import { describeWithData } from '../support/sharedData';

const folder = temporaryFolder();

/** A file from a header as given and a body. */
function file(header: unknown, body: Uint8Array | number[] = []): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Uint8Array.from(body)]);
}

/** A file of one tensor named w. */
function fileOf(dtype: string, shape: unknown, body: Uint8Array | number[], offsets: unknown = [0, body.length]) {
  return file({ w: { dtype, shape, data_offsets: offsets } }, body);
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

async function refusal(bytes: Uint8Array): Promise<string> {
  const error = await rejectionOf(readSafetensors(bytes));
  expect(error.code).toBe('ERR_FORMAT');
  return error.message;
}

async function valuesOf(bytes: Uint8Array): Promise<{ dtype: DType; values: number[] }> {
  const { tensors } = await readSafetensors(bytes);
  using w = tensors.get('w')!;
  return { dtype: w.dtype, values: [...w.dataSync()] };
}

describe('round trip', () => {
  it('keeps names, shapes, element types, values and metadata, from a path and from a buffer', async () => {
    const data = new TestData();
    const original: Record<string, Tensor<DType>> = {
      'features.0.weight': data.tensor([3, 3, 2, 5]),
      image: tensor(
        Uint8Array.from({ length: 15 }, (_, i) => i * 17),
        [3, 5],
      ),
      steps: tensor(Int32Array.of(-2147483648, 0, 2147483647)),
      scalar: tensor(Float32Array.of(-0.5), []),
      special: tensor(Float32Array.of(NaN, Infinity, -Infinity, -0, 1e-45)),
      ['__proto__']: tensor([1]),
      'ünïcode "quoted"\n': tensor([2]),
      '7': tensor([7]),
    };
    const metadata = { format: 'pt', ['__proto__']: 'x', note: 'größer' };
    const path = join(folder, 'round-trip.safetensors');
    await writeSafetensors(path, new Map(Object.entries(original)), metadata);
    const fromBuffer = await readFile(path);
    expect(bytesOf(await encodeSafetensors(new Map(Object.entries(original)), metadata))).toEqual(bytesOf(fromBuffer));

    // At an odd offset, the elements are not aligned.
    const shifted = new Uint8Array(fromBuffer.length + 1);
    shifted.set(fromBuffer, 1);
    for (const source of [path, fromBuffer, shifted.subarray(1)]) {
      const read = await readSafetensors(source);
      expect({ ...read.metadata }).toEqual(metadata);
      expect([...read.tensors.keys()].sort()).toEqual(Object.keys(original).sort());
      for (const [name, expected] of Object.entries(original)) {
        using actual = read.tensors.get(name)!;
        expect(actual.dtype).toBe(expected.dtype);
        expect(actual.shape).toEqual(expected.shape);
        expect(bytesOf(actual.dataSync()), `${name}, seed ${data.seed}`).toEqual(bytesOf(expected.dataSync()));
      }
    }
    for (const value of Object.values(original)) value.dispose();
  });

  it('writes what the format asks for: sorted offsets without holes, wide elements first and aligned', async () => {
    const bytes = Buffer.from(await encodeSafetensors({ a: tensor(Uint8Array.of(1, 2, 3)), b: tensor([1, 2]) }));
    const length = Number(bytes.readBigUInt64LE());
    expect(length % 8).toBe(0);
    expect(JSON.parse(bytes.toString('utf8', 8, 8 + length))).toEqual({
      __metadata__: {},
      a: { dtype: 'U8', shape: [3], data_offsets: [8, 11] },
      b: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
    });
    expect(bytes.length).toBe(8 + length + 11);
    expect([...bytes.subarray(-3)]).toEqual([1, 2, 3]);
  });

  it('writes one moment: changes after the call do not show', async () => {
    using a = tensor([1, 2]);
    using b = tensor([3, 4]);
    using zero = tensor([0, 0]);
    const written = encodeSafetensors({ a, b });
    a.assign(zero);
    b.assign(zero);
    const { tensors } = await readSafetensors(await written);
    expect([...tensors.values()].map((value) => [...value.dataSync()])).toEqual([
      [1, 2],
      [3, 4],
    ]);
    for (const value of tensors.values()) value.dispose();
  });

  it('reads single tensors of an open file, and an empty file', async () => {
    const path = join(folder, 'open.safetensors');
    await writeSafetensors(path, { a: tensor([1, 2]), b: tensor([3]) }, { k: 'v' });
    const open = await SafetensorsFile.open(path);
    expect(open.entries.get('a')).toMatchObject({ dtype: 'F32', shape: [2] });
    expect([...(await open.read('b'))]).toEqual([3]);
    const error = await rejectionOf(open.read('c'));
    expect(error.code).toBe('ERR_VALUE');
    expect(error.message).toContain("open.safetensors has no tensor 'c'");
    await open.close();

    const empty = await readSafetensors(file({}));
    expect(empty.tensors.size).toBe(0);
  });

  it('refuses to write a tensor named __metadata__, or a disposed one', async () => {
    expect((await rejectionOf(encodeSafetensors({ __metadata__: tensor([1]) }))).code).toBe('ERR_VALUE');
    const gone = tensor([1]);
    gone.dispose();
    expect((await rejectionOf(encodeSafetensors({ gone }))).code).toBe('ERR_DISPOSED');
  });
});

describe('element types', () => {
  it('widens F16 exactly', async () => {
    // 0, -0, the least subnormal, the greatest subnormal, the least normal, 1, -2, the greatest, infinities, NaN
    const halves = Uint16Array.of(0, 0x8000, 1, 0x3ff, 0x400, 0x3c00, 0xc000, 0x7bff, 0x7c00, 0xfc00, 0x7e00);
    expect(await valuesOf(fileOf('F16', [11], bytesOf(halves)))).toEqual({
      dtype: 'float32',
      values: [0, -0, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, 1, -2, 65504, Infinity, -Infinity, NaN],
    });
  });

  it('widens BF16 exactly', async () => {
    const halves = Uint16Array.of(0x3f80, 0xc000, 0x7f80, 0x7fc0, 0x0001);
    expect((await valuesOf(fileOf('BF16', [5], bytesOf(halves)))).values).toEqual([1, -2, Infinity, NaN, 2 ** -133]);
  });

  it('rounds F64 and refuses what only float64 can hold', async () => {
    const values = Float64Array.of(0.1, -1e-300, NaN, Infinity, 3.4028234663852886e38);
    const read = await valuesOf(fileOf('F64', [5], bytesOf(values)));
    expect(read.values).toEqual([...Float32Array.from(values)]);
    expect(await refusal(fileOf('F64', [2], bytesOf(Float64Array.of(1, -1e39))))).toMatch(
      /tensor "w": value -1e\+39 at index 1 does not fit float32/,
    );
  });

  it.each([
    ['I8', Int8Array.of(-128, 127), [-128, 127]],
    ['I16', Int16Array.of(-32768, 32767), [-32768, 32767]],
    ['U16', Uint16Array.of(0, 65535), [0, 65535]],
    ['U32', Uint32Array.of(0, 2147483647), [0, 2147483647]],
    ['I64', BigInt64Array.of(-2147483648n, -1n, 2147483647n), [-2147483648, -1, 2147483647]],
    ['U64', BigUint64Array.of(0n, 2147483647n), [0, 2147483647]],
  ])('turns %s into int32', async (dtype, stored, values) => {
    expect(await valuesOf(fileOf(dtype, [values.length], bytesOf(stored)))).toEqual({ dtype: 'int32', values });
  });

  it.each([
    ['U32', Uint32Array.of(2147483648), '2147483648'],
    ['I64', BigInt64Array.of(2147483648n), '2147483648'],
    ['I64', BigInt64Array.of(-2147483649n), '-2147483649'],
    ['U64', BigUint64Array.of(2n ** 64n - 1n), '18446744073709551615'],
  ])('refuses %s that does not fit', async (dtype, stored, value) => {
    expect(await refusal(fileOf(dtype, [1], bytesOf(stored)))).toContain(
      `tensor "w": value ${value} at index 0 does not fit int32`,
    );
  });

  it('reads U8 and BOOL as uint8', async () => {
    expect(await valuesOf(fileOf('U8', [2], [0, 255]))).toEqual({ dtype: 'uint8', values: [0, 255] });
    expect(await valuesOf(fileOf('BOOL', [2], [0, 1]))).toEqual({ dtype: 'uint8', values: [0, 1] });
  });
});

describe('hostile files', () => {
  const two = (a: [number, number], b: [number, number]) => ({
    a: { dtype: 'U8', shape: [a[1] - a[0]], data_offsets: a },
    b: { dtype: 'U8', shape: [b[1] - b[0]], data_offsets: b },
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(), /0 bytes/],
    ['less than a length', new Uint8Array(7), /7 bytes/],
    ['a huge header', Buffer.concat([Buffer.alloc(8, 0xff), Buffer.alloc(9)]), /header of 18446744073709551615 bytes/],
    ['a header longer than the file', file('{}').subarray(0, 9), /truncated: the header should have 2 bytes/],
    ['a header of no bytes', new Uint8Array(8), /does not begin with \{/],
    ['text', file('hello'), /does not begin with \{/],
    ['broken JSON', file('{"w": '), /header is not valid/],
    ['JSON and more', file('{} {}'), /header is not valid/],
    [
      'invalid UTF-8',
      Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), Buffer.from([0x7b, 0x22, 0xff, 0x7d])]),
      /valid/,
    ],
    ['deep nesting', file('{"a":' + '['.repeat(100_000)), /nested deeper than 3/],
    [
      'a tensor twice',
      file(`{"w":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"\\u0077":{}}`, [1]),
      /"w" appears twice/,
    ],
    [
      'a field twice',
      file(`{"w":{"dtype":"U8","dtype":"U8","shape":[],"data_offsets":[0,1]}}`, [1]),
      /"dtype" appears twice/,
    ],
    ['metadata twice', file(`{"__metadata__":{},"__metadata__":{}}`), /"__metadata__" appears twice/],
    ['metadata that is no string', file({ __metadata__: { a: 1 } }), /__metadata__ "a" is not a string/],
    ['metadata that is a list', file({ __metadata__: [] }), /__metadata__ is not an object/],
    ['metadata that is null', file({ __metadata__: null }), /__metadata__ is not an object/],
    ['an entry that is no object', file({ w: [] }), /tensor "w": its header entry is not an object/],
    ['an unknown dtype', fileOf('F8_E4M3', [1], [1]), /tensor "w": dtype "F8_E4M3" is not supported, only F32, /],
    ['a dtype of Object.prototype', fileOf('constructor', [1], [1]), /dtype "constructor" is not supported/],
    ['no dtype', file({ w: { shape: [], data_offsets: [0, 0] } }), /dtype undefined is not supported/],
    ['a negative dimension', fileOf('U8', [-1], [1]), /shape \[-1\] is not a list/],
    ['half a dimension', fileOf('U8', [0.5], [1]), /shape \[0.5\] is not a list/],
    ['a shape that is no list', fileOf('U8', 1, [1]), /shape 1 is not a list/],
    ['a dimension beyond 2^53', fileOf('U8', [2 ** 60], [1]), /is not a list of non-negative integers/],
    [
      '10^12 elements',
      fileOf('F32', [1e6, 1e6], [1, 2, 3, 4]),
      /tensor "w": shape \[1000000, 1000000\] of F32 wants 4000000000000 bytes/,
    ],
    ['10^12 elements, and offsets for them', fileOf('U8', [1e12], [1], [0, 1e12]), /tensor "w": truncated/],
    ['a product beyond all numbers', fileOf('F32', Array(40).fill(2 ** 50), [1, 2, 3, 4]), /wants Infinity bytes/],
    ['a product that overflows to 0', fileOf('F32', [2 ** 32, 2 ** 32], []), /wants/],
    ['offsets that are no pair', fileOf('U8', [1], [1], [0]), /data_offsets \[0\] is not \[begin, end\]/],
    ['offsets in reverse', fileOf('U8', [1], [1], [1, 0]), /data_offsets \[1,0\] is not \[begin, end\]/],
    ['negative offsets', fileOf('U8', [1], [1], [-1, 0]), /data_offsets/],
    ['too few bytes for the shape', fileOf('F32', [2], [1, 2, 3, 4]), /wants 8 bytes, data_offsets hold 4/],
    ['bytes beyond the end', fileOf('U8', [2], [1], [0, 2]), /tensor "w": truncated/],
    ['an overlap', file(two([0, 2], [1, 3]), [1, 2, 3]), /tensor "b": its bytes overlap/],
    ['the same bytes twice', file(two([0, 2], [0, 2]), [1, 2]), /tensor "b": its bytes overlap/],
    ['a hole', file(two([0, 1], [2, 3]), [1, 2, 3]), /tensor "b": a hole of 1 bytes/],
    ['a hole at the start', fileOf('U8', [1], [1, 2], [1, 2]), /tensor "w": a hole of 1 bytes/],
    ['bytes at the end', fileOf('U8', [1], [1, 2], [0, 1]), /1 bytes after the last tensor/],
    ['no elements', fileOf('F32', [0, 3], []), /tensor "w": /],
    ['too many dimensions', fileOf('U8', Array(9).fill(1), [1]), /tensor "w": /],
  ])('refuses %s', async (_, bytes, message) => {
    const before = memory();
    expect(await refusal(bytes)).toMatch(message);
    expect(memory()).toMatchObject({ tensors: before.tensors, bytes: before.bytes });
  });

  it('names the file, and refuses folders, pipes and what is not there', async () => {
    const path = join(folder, 'broken.safetensors');
    writeFileSync(path, 'broken');
    expect((await rejectionOf(readSafetensors(path))).message).toContain(path);
    const directory = join(folder, 'directory');
    mkdirSync(directory);
    expect((await rejectionOf(readSafetensors(directory))).code).toBe('ERR_FORMAT');
    if (process.platform !== 'win32') {
      const pipe = join(folder, 'pipe');
      execFileSync('mkfifo', [pipe]);
      expect((await rejectionOf(readSafetensors(pipe))).code).toBe('ERR_FORMAT');
    }
    expect((await rejectionOf(readSafetensors(join(folder, 'absent')))).code).toBe('ENOENT');
  });

  it('cuts and escapes hostile names in messages', async () => {
    const message = await refusal(file({ ['\u001b[31m' + 'x'.repeat(10_000)]: 0 }));
    expect(message).toContain('\\u001b[31mxxx');
    expect(message.length).toBeLessThan(300);
  });

  it('disposes what it had read when a later tensor is broken', async () => {
    const before = memory();
    const header = {
      a: { dtype: 'U8', shape: [8], data_offsets: [0, 8] },
      b: { dtype: 'F64', shape: [1], data_offsets: [8, 16] },
    };
    const body = [...Array<number>(8).fill(1), ...bytesOf(Float64Array.of(1e300))];
    expect(await refusal(file(header, body))).toContain('tensor "b"');
    expect(memory().tensors).toBe(before.tensors);
  });
});

describe('6,000 mutated files', () => {
  let original: Buffer<ArrayBuffer>;
  beforeEach(async () => {
    original = Buffer.from(
      await encodeSafetensors(
        {
          'conv.weight': tensor(new Float32Array(12), [3, 4]),
          labels: tensor(Int32Array.of(1, 2)),
          image: tensor(Uint8Array.of(9)),
        },
        { format: 'pt' },
      ),
    );
  });

  it('give tensors that match their header, or ERR_FORMAT; nothing else, and no leak', async () => {
    const random = new TestData();
    const before = memory();
    const tokens = [
      '"',
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '\\',
      '-1',
      '0',
      '1e400',
      'null',
      '99999999999',
      '"F16"',
      '"I64"',
      '\u0000',
      '[0,0]',
    ];
    let read = 0;
    for (let round = 0; round < 6000; ++round) {
      let bytes = Buffer.from(original);
      for (let n = random.integer(1, 3); n > 0; --n) bytes = mutate(bytes, random, tokens);
      try {
        const { tensors } = await readSafetensors(bytes);
        ++read;
        for (const value of tensors.values()) {
          expect(value.dataSync().length).toBe(value.size);
          value.dispose();
        }
      } catch (error) {
        const context = `round ${round}, seed ${random.seed}: ${String(error)}`;
        expect((error as { code?: string }).code, context).toBe('ERR_FORMAT');
      }
    }
    // Mutations of the body alone leave valid files, so that both outcomes are really tested.
    expect(read).toBeGreaterThan(100);
    expect(read).toBeLessThan(5900);
    expect(memory()).toMatchObject({ tensors: before.tensors, bytes: before.bytes });
  });

  function mutate(bytes: Buffer<ArrayBuffer>, random: TestData, tokens: string[]): Buffer<ArrayBuffer> {
    const at = random.integer(0, Math.max(0, bytes.length - 1));
    switch (random.integer(0, 5)) {
      case 0: // a bit of the header's length
        if (bytes.length > 8) bytes[random.integer(0, 7)]! ^= 1 << random.integer(0, 7);
        return bytes;
      case 1: // a bit anywhere
        if (bytes.length > 0) bytes[at]! ^= 1 << random.integer(0, 7);
        return bytes;
      case 2:
        return bytes.subarray(0, at);
      case 3: // a token over or into the text, with the length kept right, so that the parser gets to see it
        return withLength(
          Buffer.concat([
            bytes.subarray(0, at),
            Buffer.from(tokens[random.integer(0, tokens.length - 1)]!),
            bytes.subarray(at + random.integer(0, 4)),
          ]),
        );
      case 4: // a piece of the file a second time
        return withLength(Buffer.concat([bytes.subarray(0, at), bytes.subarray(random.integer(0, at), at + 20)]));
      default: // a digit
        for (let i = at; i < bytes.length; ++i) {
          if (bytes[i]! >= 0x30 && bytes[i]! <= 0x39) {
            bytes[i] = 0x30 + random.integer(0, 9);
            break;
          }
        }
        return bytes;
    }
  }

  /** Sets the header's length to where the last closing brace is. */
  function withLength(bytes: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
    const end = bytes.lastIndexOf('}') + 1;
    if (bytes.length >= 8 && end > 8) bytes.writeBigUInt64LE(BigInt(end - 8));
    return bytes;
  }
});

describeWithData('real weights', 'weights/squeezenet1_1-imagenet', (path) => {
  it('reads SqueezeNet: float16 kernels, float32 biases', async () => {
    const name = readdirSync(path).find((entry) => entry.endsWith('.safetensors'))!;
    const { tensors } = await readSafetensors(join(path, name));
    const parameters = [...tensors.values()].reduce((sum, value) => sum + value.size, 0);
    // torchvision's squeezenet1_1
    expect(parameters).toBe(1_235_496);
    expect(tensors.get('features.0.weight')!.shape).toEqual([64, 3, 3, 3]);
    for (const value of tensors.values()) {
      const data = value.dataSync() as Float32Array;
      expect(data.every((x) => Math.abs(x) < 100)).toBe(true);
      expect(data.some((x) => x !== 0)).toBe(true);
      value.dispose();
    }
  });
});
