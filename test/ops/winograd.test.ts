import { afterEach, describe, expect, it } from 'vitest';
import {
  conv2d,
  conv2dBackwardInput,
  conv2dBackwardWeight,
  getPrecision,
  setPrecision,
  tensor,
  tidy,
  type ConvAlgorithm,
  type Precision,
  type Tensor,
} from '../../lib';
import { errorOf } from '../support/compare';
import { TestData } from '../support/random';

const data = new TestData();
const sizeOf = (shape: readonly number[]): number => shape.reduce((size, dim) => size * dim, 1);

/** Standard normal numbers. */
function normal(shape: readonly number[], deviation = 1): Float32Array {
  return Float32Array.from({ length: sizeOf(shape) }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - data.next()));
    return deviation * radius * Math.cos(2 * Math.PI * data.next());
  });
}

// Each number of a result sums as in the real layer; where that leaves the number of results free, there are fewer.
const layers: { name: string; x: number[]; filters: number; passes: string[] }[] = [
  { name: 'VGG16 block 1', x: [1, 224, 224, 64], filters: 4, passes: ['backward weight'] },
  {
    name: 'VGG16 block 1, a part of the image',
    x: [1, 40, 40, 64],
    filters: 64,
    passes: ['forward', 'backward input'],
  },
  { name: 'VGG16 block 3', x: [1, 20, 20, 256], filters: 64, passes: ['forward'] },
  { name: 'VGG16 block 5', x: [1, 14, 14, 512], filters: 96, passes: ['forward'] },
  {
    name: 'VGG16 block 5, fewer channels',
    x: [1, 14, 14, 96],
    filters: 512,
    passes: ['backward input', 'backward weight'],
  },
  { name: 'ResNet layer 1', x: [1, 56, 56, 64], filters: 64, passes: ['forward', 'backward weight'] },
  {
    name: 'ResNet layer 2',
    x: [1, 28, 28, 128],
    filters: 128,
    passes: ['forward', 'backward input', 'backward weight'],
  },
  { name: 'ResNet layer 4', x: [4, 7, 7, 512], filters: 96, passes: ['forward', 'backward weight'] },
];

describe('the error of Winograd convolution', () => {
  it.each(layers)('is at most 10 times that of implicit_gemm: $name', ({ name, x: xShape, filters, passes }) => {
    const [n, h, w, channels] = xShape as [number, number, number, number];
    const [wShape, yShape] = [
      [3, 3, channels, filters],
      [n, h, w, filters],
    ];
    const x = tensor(
      normal(xShape).map((value) => Math.max(0, value)), // what relu passes on
      xShape,
    );
    const weight = tensor(normal(wShape, Math.sqrt(2 / (9 * channels))), wShape);
    const dy = tensor(normal(yShape), yShape);
    const run: Record<string, (algorithm: ConvAlgorithm) => Tensor> = {
      forward: (algorithm) => conv2d(x, weight, null, { padding: 1, algorithm }),
      'backward input': (algorithm) => conv2dBackwardInput(dy, weight, xShape, { padding: 1, algorithm }),
      'backward weight': (algorithm) => conv2dBackwardWeight(x, dy, wShape, { padding: 1, algorithm }),
    };
    for (const pass of passes) {
      const compute = (algorithm: ConvAlgorithm): Float32Array => tidy(() => run[pass]!(algorithm).dataSync());
      const reference = compute('reference'); // sums in float64
      const errors = (algorithm: ConvAlgorithm): [worst: number, meanSquare: number] => {
        let [worst, squares] = [0, 0];
        compute(algorithm).forEach((value, i) => {
          const error = Math.abs(value - reference[i]!);
          if (!(error <= worst)) worst = error;
          squares += error * error;
        });
        return [worst, squares / reference.length];
      };
      const [winograd, direct] = [errors('winograd'), errors('implicit_gemm')];
      const context = `${name}, ${pass}, seed ${data.seed}`;
      expect(winograd[0] / direct[0], `${context}: largest error`).toBeLessThanOrEqual(10);
      expect(Math.sqrt(winograd[1] / direct[1]), `${context}: root of the mean square`).toBeLessThanOrEqual(5);
    }
  });

  it('is no error where a pixel is not a number: all windows that see it are none', () => {
    const values = normal([1, 9, 10, 4]);
    values[(4 * 10 + 5) * 4 + 2] = NaN;
    const y = conv2d(tensor(values, [1, 9, 10, 4]), data.tensor([3, 3, 4, 3]), null, { algorithm: 'winograd' });
    const result = y.dataSync();
    for (let p = 2; p <= 4; p++) {
      for (let q = 3; q <= 5; q++) {
        for (let k = 0; k < 3; k++) expect(result[(p * 8 + q) * 3 + k]).toBeNaN();
      }
    }
  });
});

describe('precision', () => {
  const [x, weight, dy] = [data.tensor([1, 20, 20, 64]), data.tensor([3, 3, 64, 64]), data.tensor([1, 20, 20, 64])];
  const results = (algorithm: ConvAlgorithm, precision?: Precision): Float32Array[] =>
    tidy(() => {
      const options = { padding: 1, algorithm, precision };
      return [
        conv2d(x, weight, null, options),
        conv2dBackwardInput(dy, weight, x.shape, options),
        conv2dBackwardWeight(x, dy, weight.shape, options),
      ].map((result) => result.dataSync());
    });
  afterEach(() => setPrecision('high'));

  it("of 'high' lets auto take Winograd convolution, and 'highest' does not", () => {
    expect(results('auto')).toEqual(results('winograd'));
    expect(results('auto', 'highest')).toEqual(results('implicit_gemm'));
    expect(results('winograd', 'highest')).toEqual(results('winograd'));
    expect(results('winograd')).not.toEqual(results('implicit_gemm'));
  });

  it('has a default', () => {
    expect(getPrecision()).toBe('high');
    setPrecision('highest');
    expect(getPrecision()).toBe('highest');
    expect(results('auto')).toEqual(results('implicit_gemm'));
    expect(results('auto', 'high')).toEqual(results('winograd'));
  });

  it('of a convolution is that of its gradients', () => {
    const gradients = (precision: Precision): Float32Array[] => {
      const [input, kernel] = [tensor(x.dataSync(), x.shape), tensor(weight.dataSync(), weight.shape)];
      input.requiresGrad = kernel.requiresGrad = true;
      const y = conv2d(input, kernel, null, { padding: 1, precision });
      y.backward({ gradient: dy });
      return [input.grad!.dataSync(), kernel.grad!.dataSync()];
    };
    expect(gradients('high')).toEqual(results('winograd').slice(1));
    expect(gradients('highest')).toEqual(results('implicit_gemm').slice(1));
  });

  it('is one of two', () => {
    expect(errorOf(() => setPrecision('low' as Precision))).toMatchObject({
      code: 'ERR_VALUE',
      message: "setPrecision: must be 'high' or 'highest', got 'low'",
    });
  });
});
