import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { memory } from '../../lib';
import { cifar10, cifar100, fashionMnist, mnist, type ImageSet } from '../../lib/data';
import { fixturePath, loadExpectedFiles } from '../fixtures/load';
import { freshSeed } from '../../lib/data/random';
import { rejectionOf, temporaryFolder } from '../support/files';
import { describeWithData } from '../support/sharedData';

const root = temporaryFolder();
const expected = loadExpectedFiles();

// The state of the shared generator is a tensor that stays.
freshSeed();

let tensorsBefore = 0;
beforeEach(() => {
  tensorsBefore = memory().tensors;
});
afterEach(() => {
  expect(memory().tensors, 'tensors leaked').toBe(tensorsBefore);
});

/** Fails unless the pixels of every image are those of the formula. */
function expectPixels(set: ImageSet, value: (i: number, y: number, x: number, c: number) => number): void {
  const [count, height, width, channels] = set.shape;
  const wanted = new Uint8Array(set.pixels.length);
  let at = 0;
  for (let i = 0; i < count; ++i)
    for (let y = 0; y < height; ++y)
      for (let x = 0; x < width; ++x) for (let c = 0; c < channels; ++c) wanted[at++] = value(i, y, x, c) % 256;
  expect(set.pixels).toEqual(wanted);
}

describe('MNIST', () => {
  const images = fixturePath('files', 'mnist', 'images-idx3-ubyte');
  const labels = fixturePath('files', 'mnist', 'labels-idx1-ubyte');

  /** A folder with the fixture's five images under the names given. */
  function folderOf(name: string, imagesName: string, labelsName: string): string {
    const folder = join(root, name);
    mkdirSync(folder, { recursive: true });
    const suffix = (file: string) => (file.endsWith('.gz') ? '.gz' : '');
    copyFileSync(images + suffix(imagesName), join(folder, imagesName));
    copyFileSync(labels + suffix(labelsName), join(folder, labelsName));
    return folder;
  }

  it.each([
    ['zipped', 'train-images-idx3-ubyte.gz', 'train-labels-idx1-ubyte.gz', 'train'],
    ['plain', 'train-images-idx3-ubyte', 'train-labels-idx1-ubyte', 'train'],
    ['dotted', 't10k-images.idx3-ubyte', 't10k-labels.idx1-ubyte.gz', 'test'],
  ] as const)('reads %s files', async (name, imagesName, labelsName, split) => {
    using set = await mnist(folderOf(name, imagesName, labelsName), { split });
    expect(set.images.shape).toEqual([5, 28, 28, 1]);
    expect(set.images.dtype).toBe('uint8');
    expect(set.images).toBe(set.images);
    expect([...set.labels.dataSync()]).toEqual(expected.mnist.labels);
    expect(set.labels.dtype).toBe('int32');
    expectPixels(set, (i, y, x) => 37 * i + 5 * y + 3 * x);
    expect(set.images.dataSync()).toEqual(set.pixels);
  });

  it('gives samples, parts and batches of the same images', async () => {
    const set = await fashionMnist(join(root, 'zipped'), { limit: 4 });
    expect(set.size).toBe(4);
    expect(set.classNames[9]).toBe('Ankle boot');
    const samples = await set.samples.toArray();
    expect(samples.map(([, label]) => label)).toEqual(expected.mnist.labels.slice(0, 4));
    expect(samples[2]![0].shape).toEqual([28, 28, 1]);
    expect(samples[2]![0].data[0]).toBe(74);
    const part = set.subset(2, 4);
    expect([...part.targets]).toEqual(expected.mnist.labels.slice(2, 4));
    expect(part.pixels[0]).toBe(74);
    expect(() => set.subset(2, 9)).toThrow(/\[2, 9\) is no part of the images \[0, 4\)/);

    const firsts: number[] = [];
    for await (const [x, y] of set.batches({ batchSize: 3, shuffle: false, labels: 'categorical' })) {
      expect(y.shape[1]).toBe(10);
      const data = x.dataSync();
      for (let i = 0; i < data.length; i += 784) firsts.push(Math.round(data[i]! * 255));
      x.dispose();
      y.dispose();
    }
    expect(firsts).toEqual([0, 37, 74, 111]);
    const order = async (seed: number) => {
      const labels: number[] = [];
      for await (const [x, y] of set.batches({ batchSize: 3, seed, scale: false })) {
        expect(x.dtype).toBe('uint8');
        labels.push(...y.dataSync());
        x.dispose();
        y.dispose();
      }
      return labels;
    };
    expect(await order(1)).toEqual(await order(1));
    expect((await order(1)).sort()).toEqual(expected.mnist.labels.slice(0, 4).sort());
  });

  /** What is wrong with a folder whose files went through `change`. */
  async function refusal(change: (images: Buffer, labels: Buffer) => [Uint8Array, Uint8Array], suffix = '') {
    const folder = join(root, 'broken');
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    const [changedImages, changedLabels] = change(readFileSync(images), readFileSync(labels));
    writeFileSync(join(folder, `train-images-idx3-ubyte${suffix}`), changedImages);
    writeFileSync(join(folder, `train-labels-idx1-ubyte${suffix}`), changedLabels);
    const error = await rejectionOf(mnist(folder));
    expect(error.code).toBe('ERR_FORMAT');
    return error.message;
  }

  it('names truncated, damaged and foreign files', async () => {
    const imagesFile = 'broken/train-images-idx3-ubyte';
    expect(await refusal((x, y) => [x.subarray(0, 2000), y])).toMatch(
      /train-images-idx3-ubyte: truncated: its header says 5×28×28, it has 1984 elements/,
    );
    expect(await refusal((x, y) => [x.subarray(0, 9), y])).toContain(`${imagesFile}: truncated: it has 9 bytes`);
    expect(await refusal((x, y) => [Buffer.concat([x, y]), y])).toContain(`${imagesFile}: damaged`);
    expect(await refusal((_, y) => [y, y])).toMatch(/images-idx3-ubyte: (not an IDX|truncated)/);
    expect(await refusal((x) => [x, x])).toMatch(
      /labels-idx1-ubyte: not an IDX file of rank 1: it begins with 0x00000803/,
    );
    expect(
      await refusal((x, y) => [x, Buffer.concat([Buffer.from([0, 0, 8, 1, 0, 0, 0, 4]), y.subarray(8, 12)])]),
    ).toMatch(/has 4 labels, .* has 5 images/);
    expect(await refusal((x, y) => [x, y.fill(77, 9, 10)])).toMatch(/the label of image 1 is 77, there are 10 classes/);
    // 2^32 - 1 images: refused without trying.
    expect(await refusal((x, y) => [x.fill(255, 4, 8), y])).toMatch(/header says 4294967295×28×28/);
  });

  it('names files that cannot be unzipped', async () => {
    const zip = (x: Buffer, y: Buffer): [Buffer, Buffer] => [gzipSync(x), gzipSync(y)];
    expect(await refusal((x, y) => [gzipSync(x).subarray(0, 100), y], '.gz')).toMatch(
      /images-idx3-ubyte.gz: cannot be unzipped/,
    );
    const flipped = await refusal((x, y) => {
      const [zipped, labels] = zip(x, y);
      zipped[zipped.length - 6]! ^= 1;
      return [zipped, labels];
    }, '.gz');
    expect(flipped).toContain('incorrect data check');
  });

  it('names what is missing, and wrong options', async () => {
    const error = await rejectionOf(mnist(join(root, 'zipped'), { split: 'test' }));
    expect(error.message).toContain('has no file t10k-images-idx3-ubyte (with or without .gz)');
    expect((await rejectionOf(mnist(root, { split: 'validation' as 'test' }))).message).toContain(
      "split must be 'train'",
    );
    expect((await rejectionOf(mnist(join(root, 'zipped'), { limit: 0 }))).message).toContain('limit must be');
  });
});

describe('CIFAR', () => {
  const file = fixturePath('files', 'cifar10.bin');
  const value = (i: number, y: number, x: number, c: number) => 31 * i + 77 * c + 7 * y + 11 * x;

  it('reads CIFAR-10 from files and from folders', async () => {
    using set = await cifar10([file]);
    expect(set.images.shape).toEqual([4, 32, 32, 3]);
    expect([...set.labels.dataSync()]).toEqual(expected.cifar10.labels);
    expect(set.classNames[3]).toBe('cat');
    expectPixels(set, value);

    const distributed = join(root, 'distributed');
    mkdirSync(distributed);
    for (const i of [1, 2, 3, 4, 5]) copyFileSync(file, join(distributed, `data_batch_${i}.bin`));
    expect((await cifar10(distributed)).size).toBe(20);
    expect((await cifar10(distributed, { limit: 6 })).size).toBe(6);
    const error = await rejectionOf(cifar10(distributed, { split: 'test' }));
    expect(error.message).toContain('has no file test_batch.bin, and no test.bin');
    copyFileSync(file, join(distributed, 'test_batch.bin'));
    writeFileSync(join(distributed, 'batches.meta.txt'), 'a b c d e f g h i j '.replaceAll(' ', '\n'));
    expect((await cifar10(distributed, { split: 'test' })).classNames.join('')).toBe('abcdefghij');
    rmSync(join(distributed, 'data_batch_3.bin'));
    expect((await rejectionOf(cifar10(distributed))).message).toContain('has no file data_batch_3.bin');
  });

  it('reads both labels of CIFAR-100', async () => {
    const folder = join(root, 'cifar100');
    mkdirSync(folder);
    const records = readFileSync(file);
    const withTwo = [0, 1, 2, 3].flatMap((i) => [
      Buffer.of(i + 10, i + 90),
      records.subarray(i * 3073 + 1, (i + 1) * 3073),
    ]);
    writeFileSync(join(folder, 'train.bin'), Buffer.concat(withTwo));
    const fine = await cifar100(folder);
    expect([...fine.targets]).toEqual([90, 91, 92, 93]);
    expect(fine.classNames.length).toBe(100);
    expectPixels(fine, value);
    writeFileSync(
      join(folder, 'coarse_label_names.txt'),
      Array.from({ length: 20 }, (_, i) => `group ${i}\n`).join(''),
    );
    const coarse = await cifar100(folder, { labels: 'coarse', limit: 2 });
    expect([...coarse.targets]).toEqual([10, 11]);
    expect(coarse.classNames[11]).toBe('group 11');
    expect((await rejectionOf(cifar100(folder, { split: 'test' }))).message).toContain('has no file test.bin');
    expect((await rejectionOf(cifar100(folder, { labels: 'both' as 'fine' }))).code).toBe('ERR_VALUE');
  });

  it('names truncated files and labels that are no class', async () => {
    const broken = join(root, 'broken.bin');
    writeFileSync(broken, readFileSync(file).subarray(0, -1));
    const truncated = await rejectionOf(cifar10([file, broken]));
    expect(truncated.code).toBe('ERR_FORMAT');
    expect(truncated.message).toContain(`${broken}: truncated or not a CIFAR file`);
    const bytes = readFileSync(file);
    bytes[2 * 3073] = 10;
    writeFileSync(broken, bytes);
    expect((await rejectionOf(cifar10([broken]))).message).toContain(
      `${broken}: the label of image 2 is 10, there are 10 classes`,
    );
    expect((await rejectionOf(cifar10([]))).message).toBe('cifar10: the list of files is empty');
    writeFileSync(join(root, 'batches.meta.txt'), 'one\n');
    expect((await rejectionOf(cifar10([broken]))).message).toContain('it names 1 classes, wanted 10');
  });
});

describeWithData('real MNIST', 'mnist', (path) => {
  it('has 4,000 and 1,000 digits', async () => {
    const train = await mnist(path);
    expect(train.shape).toEqual([4000, 28, 28, 1]);
    const counts = Array.from({ length: 10 }, (_, digit) => train.targets.filter((label) => label === digit).length);
    for (const count of counts) expect(count).toBeGreaterThan(300);
    // A one has less ink than a zero.
    const ink = (digit: number) => {
      let sum = 0;
      train.targets.forEach((label, i) => label === digit && (sum += train.at(i).data.reduce((a, b) => a + b, 0)));
      return sum / counts[digit]!;
    };
    expect(ink(1)).toBeLessThan(0.6 * ink(0));
    expect((await mnist(path, { split: 'test' })).size).toBe(1000);
  });
});

describeWithData('real Fashion-MNIST', 'fashion-mnist', (path) => {
  it('has 6,000 and 1,000 garments', async () => {
    expect((await fashionMnist(path)).size).toBe(6000);
    expect((await fashionMnist(path, { split: 'test' })).size).toBe(1000);
  });
});

describeWithData('real CIFAR-10', 'cifar10', (path) => {
  it('has 3,000 and 1,000 photos, each in its colours', async () => {
    const train = await cifar10(path);
    expect(train.shape).toEqual([3000, 32, 32, 3]);
    expect(train.classNames).toEqual([
      'airplane',
      'automobile',
      'bird',
      'cat',
      'deer',
      'dog',
      'frog',
      'horse',
      'ship',
      'truck',
    ]);
    const mean = (label: number, channel: number) => {
      let [sum, count] = [0, 0];
      train.targets.forEach((target, i) => {
        if (target !== label) return;
        const { data } = train.at(i);
        for (let at = channel; at < data.length; at += 3) [sum, count] = [sum + data[at]!, count + 1];
      });
      return sum / count;
    };
    // Ships and planes are on blue.
    for (const label of [0, 8]) expect(mean(label, 2)).toBeGreaterThan(mean(label, 0));
    for (const label of [4, 6]) expect(mean(label, 2)).toBeLessThan(mean(label, 0));
    expect((await cifar10(path, { split: 'test' })).size).toBe(1000);
  });
});
