import { copyFileSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeAll, beforeEach, describe, expect, expectTypeOf, it } from 'vitest';
import { memory, type Tensor } from '../../lib';
import { imageFiles, imageFolder, normalize, randomFlip, type Dataset, type SkippedImage } from '../../lib/data';
import { fixturePath } from '../fixtures/load';
import { freshSeed } from '../../lib/data/random';
import { rejectionOf, temporaryFolder } from '../support/files';
import { describeWithData } from '../support/sharedData';

const root = temporaryFolder();
/** Three classes of 6, 4 and 2 images; the red value of an image tells which it is. */
const folder = join(root, 'data');
const counts = { ant: 6, bee: 4, cat: 2 };

beforeAll(async () => {
  let value = 10;
  for (const [name, count] of Object.entries(counts)) {
    mkdirSync(join(folder, name), { recursive: true });
    for (let i = 0; i < count; ++i, value += 10) {
      const image = sharp({ create: { width: 3, height: 2, channels: 3, background: { r: value, g: 0, b: 255 } } });
      await image.png().toFile(join(folder, name, `${i}.png`));
    }
  }
  for (const ignored of ['.hidden.png', 'notes.txt', 'list.json']) writeFileSync(join(folder, 'ant', ignored), 'x');
  mkdirSync(join(folder, '.cache'));
  writeFileSync(join(folder, 'README.md'), 'x');
});

// The state of the shared generator is a tensor that stays.
freshSeed();

let tensorsBefore = 0;
beforeEach(() => {
  tensorsBefore = memory().tensors;
});
afterEach(() => {
  expect(memory().tensors, 'tensors leaked').toBe(tensorsBefore);
});

/** The labels and the red values of a pass, in order. */
async function read(batches: Dataset<[Tensor<'uint8'> | Tensor, Tensor<'int32'>]>) {
  const labels: number[] = [];
  const reds: number[] = [];
  for await (const [x, y] of batches) {
    labels.push(...y.dataSync());
    const data = x.dataSync();
    const length = x.size / x.shape[0]!;
    for (let i = 0; i < data.length; i += length) reds.push(data[i]!);
    x.dispose();
    y.dispose();
  }
  return { labels, reds };
}

describe('imageFolder', () => {
  it('reads a folder for each class, in sorted order', async () => {
    const images = await imageFolder(folder, { batchSize: 5, shuffle: false, scale: false });
    expect(images.classNames).toEqual(['ant', 'bee', 'cat']);
    expect(images.labels).toEqual([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2]);
    expect(images.paths.map((path) => relative(folder, path)).slice(5, 8)).toEqual([
      'ant/5.png',
      'bee/0.png',
      'bee/1.png',
    ]);
    expect(images.size).toBe(3);
    const { labels, reds } = await read(images);
    expect(labels).toEqual(images.labels);
    expect(reds).toEqual(images.labels.map((_, i) => 10 * (i + 1)));
    expect((await read(images)).reds).toEqual(reds);
  });

  it('gives floats from 0 to 1 and int32 labels, or bytes and one-hot labels', async () => {
    const plain = await imageFolder(folder, { shuffle: false });
    for await (const [x, y] of plain) {
      expectTypeOf(x).toEqualTypeOf<Tensor>();
      expectTypeOf(y).toEqualTypeOf<Tensor<'int32'>>();
      expect([x.dtype, x.shape, y.dtype, y.shape]).toEqual(['float32', [12, 2, 3, 3], 'int32', [12]]);
      const pixel = [...x.dataSync().slice(0, 3)];
      expect(pixel).toEqual([Math.fround(10 / 255), 0, 1]);
      x.dispose();
      y.dispose();
    }
    const bytes = await imageFolder(folder, {
      shuffle: false,
      scale: false,
      labels: 'categorical',
      channels: 1,
      size: [4, 5],
    });
    for await (const [x, y] of bytes) {
      expectTypeOf(y).toEqualTypeOf<Tensor>();
      expect([x.dtype, x.shape, y.dtype, y.shape]).toEqual(['uint8', [12, 4, 5, 1], 'float32', [12, 3]]);
      expect([...y.dataSync().slice(15, 21)]).toEqual([1, 0, 0, 0, 1, 0]);
      x.dispose();
      y.dispose();
    }
  });

  it('shuffles by seed, another order each pass, images with their labels', async () => {
    const options = { scale: false, seed: 4, batchSize: 4 } as const;
    const [one, two] = [await imageFolder(folder, options), await imageFolder(folder, { ...options, concurrency: 1 })];
    const first = await read(one);
    expect(await read(two)).toEqual(first);
    const second = await read(one);
    expect(await read(two)).toEqual(second);
    expect(second.reds).not.toEqual(first.reds);
    expect([...first.reds].sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, i) => 10 * (i + 1)));
    first.reds.forEach((red, i) => expect(first.labels[i]).toBe(red <= 60 ? 0 : red <= 100 ? 1 : 2));
  });

  it('splits off a part of each class, the same whatever is read', async () => {
    const options = { validationSplit: 0.5, scale: false } as const;
    for (const seed of [1, undefined]) {
      const training = await imageFolder(folder, { ...options, subset: 'training', seed });
      const validation = await imageFolder(folder, { ...options, subset: 'validation', seed });
      expect(validation.labels).toEqual([0, 0, 0, 1, 1, 2]);
      expect([...training.paths, ...validation.paths].sort()).toEqual((await imageFolder(folder)).paths);
      const again = await imageFolder(folder, { ...options, subset: 'validation', seed });
      expect(again.paths).toEqual(validation.paths);
    }
  });

  it('augments each image, by seed', async () => {
    const transform = (image: { data: Uint8Array | Float32Array; shape: readonly number[] }, random: () => number) => ({
      data: image.data.slice().fill(Math.floor(random() * 256)),
      shape: image.shape,
    });
    const options = { transform, shuffle: false, scale: false } as const;
    const values = async (seed: number, concurrency: number) =>
      (await read(await imageFolder(folder, { ...options, seed, concurrency }))).reds;
    expect(new Set(await values(1, 4)).size).toBeGreaterThan(8);
    expect(await values(1, 1)).toEqual(await values(1, 4));
    expect(await values(2, 4)).not.toEqual(await values(1, 4));

    const floats = await imageFolder(folder, { transform: normalize([0, 0, 0], [1 / 255, 0.5, 0.5]), shuffle: false });
    expect((await read(floats)).reds[0]).toBeCloseTo(10, 4);
  });

  it('keeps decoded images where asked', async () => {
    const copy = join(root, 'copy');
    mkdirSync(join(copy, 'a'), { recursive: true });
    copyFileSync(join(folder, 'ant', '0.png'), join(copy, 'a', 'x.png'));
    const images = await imageFolder(copy, { cache: true, scale: false, transform: randomFlip() });
    expect((await read(images)).reds).toEqual([10]);
    writeFileSync(join(copy, 'a', 'x.png'), 'gone');
    expect((await read(images)).reds).toEqual([10]);
  });

  it('searches folders in folders, unless told not to, and follows links without going round', async () => {
    const nested = join(root, 'nested');
    mkdirSync(join(nested, 'one', 'deep', 'deeper'), { recursive: true });
    copyFileSync(join(folder, 'ant', '0.png'), join(nested, 'one', 'a.png'));
    copyFileSync(join(folder, 'ant', '1.png'), join(nested, 'one', 'deep', 'deeper', 'b.png'));
    symlinkSync(join(nested, 'one'), join(nested, 'one', 'deep', 'loop'));
    symlinkSync(join(folder, 'bee'), join(nested, 'two'));
    expect((await imageFolder(nested)).labels).toEqual([0, 0, 1, 1, 1, 1]);
    expect((await imageFolder(nested, { recursive: false })).labels).toEqual([0, 1, 1, 1, 1]);
  });

  it('takes the labels of another folder', async () => {
    const classNames = ['wasp', 'cat', 'bee', 'ant'];
    const images = await imageFolder(folder, { classNames });
    expect(new Set(images.labels)).toEqual(new Set([3, 2, 1]));
    expect(images.classNames).toEqual(classNames);
    const error = await rejectionOf(imageFolder(folder, { classNames: ['ant', 'bee'] }));
    expect(error.message).toContain('cat is none of the classes ant, bee');
  });

  it('disposes everything when it is left early', async () => {
    const images = await imageFolder(folder, { batchSize: 2, prefetch: 3 });
    for await (const [x, y] of images) {
      x.dispose();
      y.dispose();
      break;
    }
  });

  it.each<[string, string, Parameters<typeof imageFolder>[1], RegExp]>([
    ['no folders', 'ant', {}, /ant has no folders; it wants one for each class.*imageFiles/],
    ['a split without a subset', '.', { validationSplit: 0.5 }, /go together/],
    ['a subset without a split', '.', { subset: 'training' }, /go together/],
    ['a split of everything', '.', { validationSplit: 1, subset: 'training' }, /between 0 and 1, got 1/],
    ['a split of nothing', '.', { validationSplit: 0.1, subset: 'validation' }, /leaves no validation images/],
    ['an unknown subset', '.', { validationSplit: 0.5, subset: 'test' as 'training' }, /got 'test'/],
    ['an unknown kind of labels', '.', { labels: 'binary' as 'int' }, /labels must be 'int' or 'categorical'/],
    ['an unknown onError', '.', { onError: 'ignore' as 'skip' }, /onError must be 'throw' or 'skip'/],
  ])('refuses %s', async (_, path, options, message) => {
    const error = await rejectionOf(imageFolder(join(folder, path), options));
    expect(error.message).toMatch(message);
    expect(error.code).toBe('ERR_VALUE');
  });

  it('names an empty class, an absent folder, and images of different sizes', async () => {
    const path = join(root, 'empty');
    mkdirSync(join(path, 'dog'), { recursive: true });
    writeFileSync(join(path, 'dog', 'readme.txt'), '');
    expect((await rejectionOf(imageFolder(path))).message).toContain(`${join(path, 'dog')} has no images`);
    expect((await rejectionOf(imageFolder(join(root, 'absent')))).code).toBe('ENOENT');

    await sharp({ create: { width: 9, height: 9, channels: 3, background: '#fff' } })
      .png()
      .toFile(join(path, 'dog', 'big.png'));
    copyFileSync(join(folder, 'ant', '0.png'), join(path, 'dog', 'small.png'));
    const error = await rejectionOf(read(await imageFolder(path)));
    expect(error.code).toBe('ERR_SHAPE');
    expect(error.message).toMatch(/Uint8Array of shape \[(9, 9|2, 3), 3\]/);
  });
});

describe('corrupt images', () => {
  const images = fixturePath('files', 'images');
  const bad = [join(images, 'stripe', 'text.jpg'), join(images, 'stripe', 'truncated.jpg')];

  it('are named and thrown', async () => {
    const error = await rejectionOf(read(await imageFolder(images, { size: 8, shuffle: false })));
    expect(error.code).toBe('ERR_FORMAT');
    expect(error.message).toContain(bad[0]!);
  });

  it('are left out, reported once and counted, where asked', async () => {
    const reported: SkippedImage[] = [];
    const folder = await imageFolder(images, {
      size: 8,
      onError: 'skip',
      onSkip: (skipped) => reported.push(skipped),
    });
    expect(folder.size).toBeUndefined();
    for (let pass = 0; pass < 2; ++pass) {
      const { labels } = await read(folder);
      expect(labels.sort()).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 2, 2]);
    }
    expect(folder.skipped.map(({ path }) => path).sort()).toEqual(bad);
    expect(reported).toEqual(folder.skipped);
    expect(reported[0]!.error.message).toContain(reported[0]!.path);
  });
});

describe('imageFiles', () => {
  it('reads a folder, or paths in their order, without labels', async () => {
    const reds = async (images: Dataset<Tensor<'uint8'> | Tensor>) => {
      const values: number[] = [];
      for await (const x of images) {
        const length = x.size / x.shape[0]!;
        x.dataSync().forEach((value, i) => i % length === 0 && values.push(value));
        x.dispose();
      }
      return values;
    };
    const all = await imageFiles(folder, { scale: false });
    expect(all.paths.length).toBe(12);
    expect(await reds(all)).toEqual(all.paths.map((_, i) => 10 * (i + 1)));
    const paths = [join(folder, 'cat', '1.png'), join(folder, 'ant', '0.png')];
    const two = await imageFiles(paths, { scale: false });
    expect(two.size).toBe(1);
    expect(await reds(two)).toEqual([120, 10]);
  });

  it('names what has no images', async () => {
    const empty = join(root, 'void');
    mkdirSync(empty);
    expect((await rejectionOf(imageFiles(empty))).message).toBe(`imageFiles: ${empty} has no images`);
    expect((await rejectionOf(imageFiles([]))).message).toBe('imageFiles: the list of paths is empty');
  });
});

describeWithData('photos of hands', 'sign-digits/train', (path) => {
  it('are read whole', async () => {
    const images = await imageFolder(path, { size: 32, batchSize: 100, scale: false });
    expect(images.classNames).toEqual([...'0123456789']);
    const { labels } = await read(images);
    expect(labels.length).toBe(400);
    for (const name of readdirSync(path)) expect(labels.filter((label) => label === Number(name)).length).toBe(40);
  });
});
