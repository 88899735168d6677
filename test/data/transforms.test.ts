import { describe, expect, it } from 'vitest';
import {
  centerCrop,
  colorJitter,
  compose,
  cutout,
  normalize,
  randomAffine,
  randomCrop,
  randomFlip,
  randomRotation,
  randomShift,
  randomZoom,
  type FillMode,
  type Pixels,
  type Transform,
} from '../../lib/data';
import { streamOf } from '../../lib/data/random';
import { warpAffine, type Affine } from '../../lib/data/warp';
import { errorOf, expectClose } from '../support/compare';
import { TestData } from '../support/random';

const data = new TestData();

function bytes(height: number, width: number, channels = 3): Pixels<Uint8Array> {
  const values = Uint8Array.from({ length: height * width * channels }, () => data.integer(0, 255));
  return { data: values, shape: [height, width, channels] };
}

function floats(height: number, width: number, channels = 3): Pixels<Float32Array> {
  return { data: data.floats(height * width * channels, 0, 1), shape: [height, width, channels] };
}

/** A grey image of the values given. */
function grey(rows: number[][]): Pixels<Uint8Array> {
  return { data: Uint8Array.from(rows.flat()), shape: [rows.length, rows[0]!.length, 1] };
}

function rowsOf({ data, shape }: Pixels): number[][] {
  return Array.from({ length: shape[0]! }, (_, y) => [...data.slice(y * shape[1]!, (y + 1) * shape[1]!)]);
}

/** Gives the numbers listed, then fails. */
function fixed(...numbers: number[]): () => number {
  return () => numbers.shift() ?? expect.fail('more random numbers were drawn than expected');
}

describe('warpAffine', () => {
  /** In float64, one sample at a time. */
  function reference(image: Pixels, [a, b, c, d, e, f]: Affine, mode: FillMode, fill: number): number[] {
    const [height, width, channels] = image.shape as [number, number, number];
    const inside = (at: number, size: number): number => {
      while (at < 0 || at >= size) {
        if (mode === 'constant') return NaN;
        if (mode === 'nearest') at = at < 0 ? 0 : size - 1;
        else at = at < 0 ? -1 - at : 2 * size - 1 - at;
      }
      return at;
    };
    const pixel = (y: number, x: number, channel: number) => {
      const [row, column] = [inside(y, height), inside(x, width)];
      return Number.isNaN(row + column) ? fill : image.data[(row * width + column) * channels + channel]!;
    };
    const result: number[] = [];
    for (let y = 0; y < height; ++y)
      for (let x = 0; x < width; ++x)
        for (let channel = 0; channel < channels; ++channel) {
          const [sx, sy] = [a * x + b * y + c, d * x + e * y + f];
          const [left, top] = [Math.floor(sx), Math.floor(sy)];
          let sum = 0;
          for (const [py, wy] of [[top, 1 - (sy - top)] as const, [top + 1, sy - top] as const])
            for (const [px, wx] of [[left, 1 - (sx - left)] as const, [left + 1, sx - left] as const])
              sum += wy * wx * pixel(py, px, channel);
          result.push(sum);
        }
    return result;
  }

  it.each<FillMode>(['constant', 'nearest', 'reflect'])('agrees with the reference, fill mode %s', (mode) => {
    for (let round = 0; round < 12; ++round) {
      const [height, width, channels] = [data.integer(1, 9), data.integer(1, 9), data.integer(1, 4)];
      const matrix = Array.from(
        { length: 6 },
        (_, i) => (i % 3 === 2 ? 20 : 2) * (data.next() - 0.5),
      ) as unknown as Affine;
      const context = `${height}×${width}×${channels}, ${matrix.join(' ')}, seed ${data.seed}`;
      const image = floats(height, width, channels);
      const exact = reference(image, matrix, mode, 0.25);
      expectClose(warpAffine(image, matrix, mode, 0.25).data, exact, { absolute: 1e-6, relative: 0 }, context);
      const small = bytes(height, width, channels);
      const rounded = reference(small, matrix, mode, 64);
      expectClose(warpAffine(small, matrix, mode, 64).data, rounded, { absolute: 0.5 + 1e-6, relative: 0 }, context);
    }
  });

  it('keeps the image with the identity, and moves whole pixels exactly', () => {
    const image = bytes(5, 7);
    for (const mode of ['constant', 'nearest', 'reflect'] as const) {
      expect(warpAffine(image, [1, 0, 0, 0, 1, 0], mode).data).toEqual(image.data);
    }
    const row = grey([[1, 2, 3, 4]]);
    expect(rowsOf(warpAffine(row, [1, 0, -2, 0, 1, 0], 'constant', 9))).toEqual([[9, 9, 1, 2]]);
    expect(rowsOf(warpAffine(row, [1, 0, -2, 0, 1, 0], 'nearest'))).toEqual([[1, 1, 1, 2]]);
    expect(rowsOf(warpAffine(row, [1, 0, -2, 0, 1, 0], 'reflect'))).toEqual([[2, 1, 1, 2]]);
    expect(rowsOf(warpAffine(row, [1, 0, 11, 0, 1, 0], 'reflect'))).toEqual([[4, 4, 3, 2]]);
  });
});

describe('geometry', () => {
  const image = grey([
    [1, 2, 3],
    [4, 5, 6],
  ]);

  it('flips', () => {
    expect(rowsOf(randomFlip('horizontal', 1)(image, fixed(0.9)))).toEqual([
      [3, 2, 1],
      [6, 5, 4],
    ]);
    expect(rowsOf(randomFlip('vertical', 1)(image, fixed(0.9)))).toEqual([
      [4, 5, 6],
      [1, 2, 3],
    ]);
    expect(rowsOf(randomFlip('both')(image, fixed(0.4, 0.4)))).toEqual([
      [6, 5, 4],
      [3, 2, 1],
    ]);
    expect(randomFlip()(image, fixed(0.6))).toBe(image);
    const colour = bytes(4, 5);
    const flip = randomFlip('horizontal', 1);
    expect(flip(flip(colour, fixed(0)), fixed(0)).data).toEqual(colour.data);
  });

  it('turns by a quarter, clockwise for positive angles', () => {
    const square = grey([
      [1, 2, 3],
      [4, 5, 6],
      [7, 8, 9],
    ]);
    // The angle is the first number that is drawn: the way from -90 to 90 degrees.
    const quarter = (way: number) =>
      rowsOf(randomRotation(90, { fillMode: 'nearest' })(square, fixed(way, 0.5, 0.5, 0.5)));
    const [first, second] = [quarter(0), quarter(1)];
    const clockwise = [
      [7, 4, 1],
      [8, 5, 2],
      [9, 6, 3],
    ];
    const anticlockwise = [
      [3, 6, 9],
      [2, 5, 8],
      [1, 4, 7],
    ];
    expect([first, second]).toEqual([anticlockwise, clockwise]);
  });

  it('shifts by a fraction of the sides', () => {
    // Three rows of four quarters; vertical first.
    const wide = grey([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
    ]);
    expect(rowsOf(randomShift([0.5, 0.25])(wide, fixed(0.5, 0.5, 1, 1)))).toEqual([
      [0, 0, 0, 0],
      [0, 1, 2, 3],
    ]);
    expect(rowsOf(randomShift([0, 0.5], { fillMode: 'nearest' })(wide, fixed(0.5, 0.5, 0, 0)))).toEqual([
      [3, 4, 4, 4],
      [7, 8, 8, 8],
    ]);
  });

  it('magnifies about the centre', () => {
    const square = grey([
      [0, 0, 0, 0],
      [0, 9, 9, 0],
      [0, 9, 9, 0],
      [0, 0, 0, 0],
    ]);
    const twice = rowsOf(randomZoom([2, 2])(square, fixed(0, 0.5, 0.5, 0.5)));
    expect(twice.flat().every((value) => value > 0)).toBe(true);
    expect(twice[1]![1]).toBe(9);
    const half = rowsOf(randomZoom([0.5, 0.5], { fillValue: 200 })(square, fixed(0, 0.5, 0.5, 0.5)));
    expect([half[0]![0], half[3]![3]]).toEqual([200, 200]);
  });

  it('keeps the mean of a smooth picture about the same', () => {
    const smooth: Pixels = {
      data: Float32Array.from({ length: 40 * 40 }, (_, i) => 0.5 + 0.3 * Math.sin((i % 40) / 8) * Math.cos(i / 400)),
      shape: [40, 40, 1],
    };
    const mean = ({ data }: Pixels) => Array.from(data).reduce((a, b) => a + b) / data.length;
    const warp = randomAffine({ rotate: 10, shift: 0.05, zoom: 0.1, fillMode: 'reflect' });
    for (let i = 0; i < 20; ++i)
      expect(Math.abs(mean(warp(smooth, streamOf(1, 0, i))) - mean(smooth))).toBeLessThan(0.05);
  });

  it('crops, after padding', () => {
    expect(rowsOf(centerCrop([2, 1])(image, fixed()))).toEqual([[2], [5]]);
    expect(
      rowsOf(
        centerCrop(1)(
          grey([
            [1, 2],
            [3, 4],
          ]),
          fixed(),
        ),
      ),
    ).toEqual([[1]]);
    expect(rowsOf(randomCrop({ size: [1, 2] })(image, fixed(0.99, 0.99)))).toEqual([[5, 6]]);
    const padded = (fillMode: FillMode, y: number, x: number) =>
      rowsOf(randomCrop({ size: [2, 3], padding: 1, fillMode, fillValue: 7 })(image, fixed(y, x)));
    expect(padded('constant', 0, 0)).toEqual([
      [7, 7, 7],
      [7, 1, 2],
    ]);
    expect(padded('nearest', 0.99, 0.99)).toEqual([
      [5, 6, 6],
      [5, 6, 6],
    ]);
    expect(padded('reflect', 0, 0)).toEqual([
      [1, 1, 2],
      [1, 1, 2],
    ]);
    const places = new Set<string>();
    const crop = randomCrop({ size: 3, padding: 1 });
    for (let i = 0; i < 200; ++i) places.add(crop(bytesOfPlaces, streamOf(3, 0, i)).data.join());
    // 4 + 2 - 3 + 1 places in each direction.
    expect(places.size).toBe(16);
  });
  const bytesOfPlaces = grey([
    [1, 2, 3, 4],
    [5, 6, 7, 8],
    [9, 10, 11, 12],
    [13, 14, 15, 16],
  ]);

  it('names an image that is smaller than its crop', () => {
    const error = errorOf(() => randomCrop({ size: 5, padding: 1 })(image, fixed()));
    expect(error.code).toBe('ERR_SHAPE');
    expect(error.message).toBe('randomCrop: the image has 2×3 pixels and 1 of padding, the crop wants 5×5');
    expect(errorOf(() => centerCrop(28)(image, fixed())).message).toContain('the crop wants 28×28');
  });
});

describe('colours', () => {
  it('changes nothing without amounts, and not beyond rounding at the middle of them', () => {
    const image = bytes(4, 4);
    expect(colorJitter({})(image, fixed(0.5, 0.5, 0.5, 0.5)).data).toEqual(image.data);
    const all = colorJitter({ brightness: 0.5, contrast: 0.5, saturation: 0.5, hue: 0.5 });
    expect(all(image, fixed(0.5, 0.5, 0.5, 0.5)).data).toEqual(image.data);
  });

  it('multiplies brightness, and limits it to the range', () => {
    const image: Pixels = { data: Float32Array.of(0, 0.25, 0.9), shape: [1, 1, 3] };
    expectClose(colorJitter({ brightness: 1 })(image, fixed(0.75, 0.5, 0.5, 0.5)).data, [0, 0.375, 1]);
    const small: Pixels = { data: Uint8Array.of(0, 100, 200), shape: [3, 1, 1] };
    expect([...colorJitter({ brightness: 1 })(small, fixed(0.75, 0.5, 0.5, 0.5)).data]).toEqual([0, 150, 255]);
  });

  it('stretches contrast around the mean grey', () => {
    const image: Pixels = { data: Float32Array.of(0.2, 0.4, 0.6), shape: [3, 1, 1] };
    expectClose(colorJitter({ contrast: 1 })(image, fixed(0.5, 0.75, 0.5, 0.5)).data, [0.1, 0.4, 0.7]);
    expectClose(colorJitter({ contrast: 1 })(image, fixed(0.5, 0, 0.5, 0.5)).data, [0.4, 0.4, 0.4]);
    const colour = floats(5, 4);
    const flat = colorJitter({ contrast: 1 })(colour, fixed(0.5, 0, 0.5, 0.5)).data;
    const luma = [0, 1, 2].map(
      (c) => [0.299, 0.587, 0.114][c]! * colour.data.filter((_, i) => i % 3 === c).reduce((a, b) => a + b),
    );
    expectClose(
      flat,
      new Array<number>(60).fill(luma.reduce((a, b) => a + b) / 20),
      { relative: 1e-5 },
      `seed ${data.seed}`,
    );
  });

  it('takes colours out with saturation 0, and turns them around grey with hue', () => {
    const image: Pixels = { data: Float32Array.of(0.8, 0.4, 0.2, 0.5, 0.5, 0.5), shape: [1, 2, 3] };
    const luma = 0.299 * 0.8 + 0.587 * 0.4 + 0.114 * 0.2;
    expectClose(colorJitter({ saturation: 1 })(image, fixed(0.5, 0.5, 0, 0.5)).data, [luma, luma, luma, 0.5, 0.5, 0.5]);
    // A third of a circle passes red on to green, green to blue, blue to red; greys stay.
    const third = colorJitter({ hue: 1 / 3 })(image, fixed(0.5, 0.5, 0.5, 1)).data;
    expectClose(third, [0.2, 0.8, 0.4, 0.5, 0.5, 0.5]);
  });

  it('leaves alpha alone', () => {
    const image: Pixels = { data: Uint8Array.of(10, 20, 30, 99), shape: [1, 1, 4] };
    expect([...colorJitter({ brightness: 1 })(image, fixed(1, 0.5, 0.5, 0.5)).data]).toEqual([20, 40, 60, 99]);
  });

  it('normalises bytes and floats alike', () => {
    const [mean, std] = [
      [0.485, 0.456, 0.406],
      [0.229, 0.224, 0.225],
    ];
    const image = bytes(3, 5);
    const expected = Array.from(image.data, (value, i) => (value / 255 - mean[i % 3]!) / std[i % 3]!);
    const unit: Pixels = { data: Float32Array.from(image.data, (value) => value / 255), shape: image.shape };
    for (const source of [image, unit]) {
      const result = normalize(mean, std)(source, fixed());
      expect(result.data).toBeInstanceOf(Float32Array);
      expectClose(result.data, expected, { relative: 1e-6 }, `seed ${data.seed}`);
    }
    expect(errorOf(() => normalize([0], [1])(image, fixed())).message).toContain(
      'the image has 3 channels, mean has 1',
    );
  });
});

describe('cutout', () => {
  it('blots out a rectangle around a pixel, cut at the edges', () => {
    const image = grey([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
      [9, 10, 11, 12],
    ]);
    expect(rowsOf(cutout({ size: [2, 3], fillValue: 0 })(image, fixed(0, 0.5, 0.5)))).toEqual([
      [1, 0, 0, 0],
      [5, 0, 0, 0],
      [9, 10, 11, 12],
    ]);
    expect(rowsOf(cutout({ size: 2, fillValue: 255 })(image, fixed(0, 0, 0)))[0]).toEqual([255, 2, 3, 4]);
    expect(cutout({ size: 2, probability: 0.3 })(image, fixed(0.3))).toBe(image);
  });
});

const all: [string, Transform][] = [
  ['randomFlip', randomFlip('both')],
  ['randomAffine', randomAffine({ rotate: 30, shift: 0.2, zoom: 0.2 })],
  ['randomCrop', randomCrop({ size: 6, padding: 2 })],
  ['centerCrop', centerCrop(5)],
  ['colorJitter', colorJitter({ brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 })],
  ['cutout', cutout({ size: 3 })],
];

describe.each(all)('%s', (_, transform) => {
  it.each([1, 3, 4])(
    'keeps the element type with %i channels, leaves its argument alone, and repeats by seed',
    (channels) => {
      for (const image of [bytes(8, 9, channels), floats(8, 9, channels)]) {
        const before = image.data.slice();
        const result = transform(image, streamOf(5, 0, channels));
        expect(result.data.constructor).toBe(image.data.constructor);
        expect(result.shape[2]).toBe(channels);
        expect(result.data.length).toBe(result.shape.reduce((a, b) => a * b));
        expect(result.data.every((value) => value >= 0 && value <= 255)).toBe(true);
        expect(image.data, `seed ${data.seed}`).toEqual(before);
        expect(transform(image, streamOf(5, 0, channels))).toEqual(result);
      }
    },
  );

  it('leaves a Buffer alone, too', () => {
    const image = { data: Buffer.from(bytes(8, 8).data), shape: [8, 8, 3] };
    const before = Uint8Array.from(image.data);
    transform(image, streamOf(6));
    expect(Uint8Array.from(image.data)).toEqual(before);
  });
});

it('compose runs one after the other', () => {
  const image = grey([[1, 2, 3]]);
  const both = compose(centerCrop([1, 2]), randomFlip('horizontal', 1), cutout({ size: 1, fillValue: 9 }));
  expect(rowsOf(both(image, fixed(0, 0, 0, 0)))).toEqual([[9, 1]]);
  expect(compose()(image, fixed())).toBe(image);
});

it.each([
  [() => randomFlip('diagonal' as 'both'), /randomFlip: axis must be 'horizontal', 'vertical', 'both', got 'diagonal'/],
  [() => randomFlip('both', 2), /randomFlip: probability must be from 0 to 1, got 2/],
  [() => randomRotation(-1), /rotate must be at least 0, got -1/],
  [() => randomShift(NaN), /shift must be at least 0, got NaN/],
  [() => randomZoom(1), /zoom must be a fraction below 1 or a range, got 1/],
  [() => randomZoom([2, 1]), /zoom must be .* got \[2,1\]/],
  [
    () => randomAffine({ fillMode: 'wrap' as 'nearest' }),
    /fillMode must be 'constant', 'nearest', 'reflect', got 'wrap'/,
  ],
  [() => randomCrop({ size: 0 }), /size must be a side or \[height, width\]/],
  [() => randomCrop({ size: 4, padding: -1 }), /padding must be at least 0/],
  [() => colorJitter({ hue: -0.1 }), /hue must be at least 0/],
  [() => cutout({ size: 4, probability: -1 }), /probability must be from 0 to 1/],
  [() => normalize([1, 2], [1]), /std must be 2 positive numbers/],
  [() => normalize([1], [0]), /std must be 1 positive numbers/],
])('refuses wrong options, %#', (make, message) => {
  const error = errorOf(make);
  expect(error.code).toBe('ERR_VALUE');
  expect(error.message).toMatch(message);
});
