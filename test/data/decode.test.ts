import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodeImage, decodePixels, type DecodeOptions } from '../../lib/data';
import { fixturePath, loadExpectedFiles } from '../fixtures/load';
import { rejectionOf, temporaryFolder } from '../support/files';

const folder = temporaryFolder();

/** A PNG of the pixels given. */
function png(values: number[], width: number, channels: 1 | 2 | 3 | 4): Promise<Buffer> {
  const height = values.length / channels / width;
  return sharp(Uint8Array.from(values), { raw: { width, height, channels } }).png().toBuffer();
}

async function decoded(source: string | Uint8Array, options?: DecodeOptions) {
  const { data, shape } = await decodePixels(source, options);
  expect(data).toBeInstanceOf(Uint8Array);
  return { shape, values: [...data] };
}

describe('files of every kind', () => {
  it.each(loadExpectedFiles().images)('$file', async (expected) => {
    const path = fixturePath('files', 'images', expected.file);
    if (expected.corrupt) {
      const error = await rejectionOf(decodePixels(path));
      expect(error.code).toBe('ERR_FORMAT');
      expect(error.message).toContain(path);
      return;
    }
    const tolerance = expected.lossless ? 0 : 4;
    for (const source of [path, readFileSync(path)]) {
      const { data, shape } = await decodePixels(source);
      expect(shape).toEqual([expected.height, expected.width, 3]);
      expected.topLeft.forEach((value, i) => expect(Math.abs(data[i]! - value)).toBeLessThanOrEqual(tolerance));
      expected.bottomRight.forEach((value, i) =>
        expect(Math.abs(data[data.length - 3 + i]! - value)).toBeLessThanOrEqual(tolerance),
      );
    }
  });
});

describe('channels', () => {
  it('converts between grey, RGB and RGBA', async () => {
    const rgb = await png([10, 200, 30, 255, 255, 255], 2, 3);
    const grey = await png([7, 99], 2, 1);
    const greyAlpha = await png([7, 255, 99, 128], 2, 2);
    const rgba = await png([10, 200, 30, 128, 1, 2, 3, 0], 2, 4);
    expect(await decoded(rgb, { channels: 3 })).toEqual({ shape: [1, 2, 3], values: [10, 200, 30, 255, 255, 255] });
    expect((await decoded(rgb, { channels: 4 })).values).toEqual([10, 200, 30, 255, 255, 255, 255, 255]);
    expect((await decoded(grey, { channels: 3 })).values).toEqual([7, 7, 7, 99, 99, 99]);
    expect(await decoded(grey, { channels: 1 })).toEqual({ shape: [1, 2, 1], values: [7, 99] });
    expect((await decoded(greyAlpha, { channels: 1 })).values).toEqual([7, 99]);
    expect((await decoded(greyAlpha, { channels: 3 })).values).toEqual([7, 7, 7, 99, 99, 99]);
    expect((await decoded(rgba, { channels: 3 })).values).toEqual([10, 200, 30, 1, 2, 3]);
    expect((await decoded(rgba, { channels: 4 })).values).toEqual([10, 200, 30, 128, 1, 2, 3, 0]);
    const { shape, values } = await decoded(rgb, { channels: 1 });
    expect(shape).toEqual([1, 2, 1]);
    expect(values[0]).toBeGreaterThan(100);
    expect(values[1]).toBe(255);
  });

  it('reads sixteen bits and CMYK as eight bits of RGB', async () => {
    const pixel = () => sharp(Uint8Array.of(200, 100, 50), { raw: { width: 1, height: 1, channels: 3 } });
    const deep = await pixel().toColourspace('rgb16').png().toBuffer();
    expect(await decoded(deep)).toEqual({ shape: [1, 1, 3], values: [200, 100, 50] });
    const print = await decoded(await pixel().toColourspace('cmyk').jpeg().toBuffer());
    expect(print.shape).toEqual([1, 1, 3]);
    print.values.forEach((value, i) => expect(Math.abs(value - [200, 100, 50][i]!)).toBeLessThan(40));
  });
});

describe('size', () => {
  // Four columns of black, two of white: [height 2, width 6].
  const wide = () => png([0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 255, 255], 6, 1);

  it('distorts, cuts or adds bars, as asked', async () => {
    const options = { size: 2, kernel: 'nearest', channels: 1 } as const;
    expect(await decoded(await wide(), { ...options, fit: 'fill' })).toEqual({
      shape: [2, 2, 1],
      values: [0, 255, 0, 255],
    });
    expect((await decoded(await wide(), { ...options, fit: 'cover' })).values).toEqual([0, 0, 0, 0]);
    const contained = await decoded(await wide(), {
      size: [6, 6],
      fit: 'contain',
      kernel: 'nearest',
      background: [9, 99, 199],
    });
    expect(contained.shape).toEqual([6, 6, 3]);
    expect(contained.values.slice(0, 3)).toEqual([9, 99, 199]);
    expect(contained.values.slice(2 * 18, 2 * 18 + 3)).toEqual([0, 0, 0]);
    expect(contained.values.slice(-3)).toEqual([9, 99, 199]);
  });

  it('takes [height, width]', async () => {
    expect((await decoded(await wide(), { size: [3, 5], channels: 1 })).shape).toEqual([3, 5, 1]);
    expect((await decoded(await wide(), { channels: 1 })).shape).toEqual([2, 6, 1]);
  });

  it('averages when it shrinks', async () => {
    const stripes = await png(
      Array.from({ length: 64 * 64 }, (_, i) => (i % 2) * 255),
      64,
      1,
    );
    const { values } = await decoded(stripes, { size: 8, channels: 1 });
    for (const value of values) expect(Math.abs(value - 127.5)).toBeLessThan(8);
  });

  it('turns before it resizes', async () => {
    // Orientation 6: to be turned clockwise.
    const lying = await sharp(await wide())
      .jpeg({ quality: 100 })
      .withMetadata({ orientation: 6 })
      .toBuffer();
    const { shape, values } = await decoded(lying, { size: [3, 1], channels: 1, kernel: 'nearest' });
    expect(shape).toEqual([3, 1, 1]);
    expect(values[0]).toBeLessThan(30);
    expect(values[2]).toBeGreaterThan(225);
  });
});

describe('errors', () => {
  it('names the file, or says that it was a buffer', async () => {
    const path = join(folder, 'cat.png');
    writeFileSync(path, 'no image at all');
    expect((await rejectionOf(decodePixels(path))).message).toContain(`${path} cannot be decoded: `);
    for (const bytes of [Buffer.from('no image'), Buffer.alloc(0), Buffer.alloc(100_000)]) {
      const error = await rejectionOf(decodePixels(bytes));
      expect(error.code).toBe('ERR_FORMAT');
      expect(error.message).toContain('image buffer cannot be decoded: ');
    }
    expect((await rejectionOf(decodePixels(folder))).code).toBe('ERR_FORMAT');
    expect((await rejectionOf(decodePixels(join(folder, 'absent.png')))).code).toBe('ENOENT');
  });

  it('refuses bombs by what their header says', async () => {
    const bomb = await sharp({ create: { width: 3000, height: 3000, channels: 3, background: '#000' } })
      .png()
      .toBuffer();
    expect(bomb.length).toBeLessThan(100_000);
    const error = await rejectionOf(decodePixels(bomb, { maxPixels: 1e6, size: 8 }));
    expect(error.code).toBe('ERR_FORMAT');
    expect(error.message).toContain('pixel limit');
  });

  it.each<[string, DecodeOptions]>([
    ['size', { size: 0 }],
    ['size', { size: [1, 2, 3] as unknown as [number, number] }],
    ['size', { size: 1.5 }],
    ['channels', { channels: 2 as 1 }],
    ['fit', { fit: 'inside' as 'fill' }],
    ['kernel', { kernel: 'bilinear' as 'linear' }],
  ])('refuses a wrong %s: %j', async (name, options) => {
    const error = await rejectionOf(decodePixels(fixturePath('files', 'images', 'circle', 'colour.png'), options));
    expect(error.code).toBe('ERR_VALUE');
    expect(error.message).toContain(name);
  });
});

it('gives a tensor', async () => {
  using image = await decodeImage(fixturePath('files', 'images', 'circle', 'colour.png'), { size: 4 });
  expect(image.dtype).toBe('uint8');
  expect(image.shape).toEqual([4, 4, 3]);
});
