import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ConvgradError } from '../errors';
import { checkLabels, ImageSet, limited, splitOf, type SubsetOptions } from './imageSet';

const digits = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];
const garments = [
  'T-shirt/top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
];

/** Larger than any such file, so that a hostile one cannot fill the memory. */
const maxBytes = 2 ** 30;

/**
 * MNIST: images [N, 28, 28, 1] of the digits 0 … 9. The folder has the files as they are distributed,
 * `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the same with `t10k`, with or without `.gz`.
 * @throws ERR_FORMAT naming the file that is missing, truncated or none of these
 */
export function mnist(folder: string, options: SubsetOptions = {}): Promise<ImageSet> {
  return readSet(folder, options, digits, 'mnist');
}

/** Fashion-MNIST: ten kinds of garments, in the form and with the file names of MNIST. */
export function fashionMnist(folder: string, options: SubsetOptions = {}): Promise<ImageSet> {
  return readSet(folder, options, garments, 'fashionMnist');
}

async function readSet(
  folder: string,
  options: SubsetOptions,
  classNames: readonly string[],
  what: string,
): Promise<ImageSet> {
  const prefix = splitOf(options, what) === 'train' ? 'train' : 't10k';
  const images = await readIdx(folder, `${prefix}-images`, 3);
  const labels = await readIdx(folder, `${prefix}-labels`, 1);
  const [count, height, width] = images.shape as [number, number, number];
  if (labels.shape[0] !== count) {
    const message = `${labels.file} has ${labels.shape[0]} labels, ${images.file} has ${count} images`;
    throw new ConvgradError('ERR_FORMAT', message);
  }
  checkLabels(labels.data, classNames.length, labels.file);
  const set = new ImageSet(images.data, [count, height, width, 1], Int32Array.from(labels.data), classNames);
  return limited(set, options, what);
}

interface Idx {
  file: string;
  shape: number[];
  data: Uint8Array;
}

/** Reads an IDX file of bytes: two zeros, 8 for the element type, the rank, the dimensions (big-endian), the elements. */
async function readIdx(folder: string, name: string, rank: number): Promise<Idx> {
  const { file, bytes } = await readAny(folder, [`${name}-idx${rank}-ubyte`, `${name}.idx${rank}-ubyte`]);
  const headerBytes = 4 + 4 * rank;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < headerBytes) {
    throw new ConvgradError(
      'ERR_FORMAT',
      `${file}: truncated: it has ${bytes.length} bytes, its header takes ${headerBytes}`,
    );
  }
  const [magic, wanted] = [view.getUint32(0), 0x800 + rank];
  if (magic !== wanted) {
    const hex = (value: number) => `0x${value.toString(16).padStart(8, '0')}`;
    throw new ConvgradError(
      'ERR_FORMAT',
      `${file}: not an IDX file of rank ${rank}: it begins with ${hex(magic)}, not with ${hex(wanted)}`,
    );
  }
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  const size = shape.reduce((product, dim) => product * dim, 1);
  const data = new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset + headerBytes, bytes.length - headerBytes);
  if (size !== data.length || size === 0) {
    const state = data.length < size ? 'truncated' : 'damaged';
    throw new ConvgradError(
      'ERR_FORMAT',
      `${file}: ${state}: its header says ${shape.join('×')}, it has ${data.length} elements`,
    );
  }
  return { file, shape, data };
}

/** The first of the files that is there, unzipped if it ends in .gz. */
async function readAny(folder: string, names: readonly string[]): Promise<{ file: string; bytes: Uint8Array }> {
  for (const name of names.flatMap((name) => [name, `${name}.gz`])) {
    const file = join(folder, name);
    let bytes: Uint8Array;
    try {
      bytes = await readFile(file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw error;
    }
    if (!name.endsWith('.gz')) return { file, bytes };
    try {
      const { gunzip } = await import('node:zlib'); // only when it is needed: it makes every start slower
      return { file, bytes: await promisify(gunzip)(bytes, { maxOutputLength: maxBytes }) };
    } catch (error) {
      throw new ConvgradError('ERR_FORMAT', `${file}: cannot be unzipped: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
  throw new ConvgradError('ERR_FORMAT', `${folder} has no file ${names[0]} (with or without .gz)`);
}
