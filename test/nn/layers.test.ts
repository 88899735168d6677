import { describe, expect, it } from 'vitest';
import { gradCheck, layers, memory, nn, ones, setSeed, tensor, tidy, zeros, type Tensor } from '../../lib';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { TestData } from '../support/random';

/** Mean, standard deviation and extremes of a tensor's elements. */
function statistics(x: Tensor) {
  const values = Array.from(x.dataSync());
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const std = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  return { mean, std, max: Math.max(...values.map(Math.abs)) };
}

/** Uniform in ±limit, as 10,000 or more values show it. */
function expectUniform(x: Tensor, limit: number): void {
  const { mean, std, max } = statistics(x);
  expect(Math.abs(mean)).toBeLessThan(0.05 * limit);
  expect(Math.abs(std - limit / Math.sqrt(3))).toBeLessThan(0.03 * limit);
  expect(max).toBeLessThanOrEqual(limit * 1.0001);
  expect(max).toBeGreaterThan(0.99 * limit);
}

describe('first values', () => {
  it("are PyTorch's in nn: uniform in ±1/√fanIn, biases too", () => {
    const conv = new nn.Conv2d(32, 64, { kernelSize: 3 });
    expectUniform(conv.weight, 1 / Math.sqrt(9 * 32));
    expect(statistics(conv.bias!).max).toBeLessThan(1 / Math.sqrt(9 * 32));
    expect(statistics(conv.bias!).std).toBeGreaterThan(0);
    expectUniform(new nn.Linear(200, 100).weight, 1 / Math.sqrt(200));
    expectUniform(new nn.DepthwiseConv2d(600, { kernelSize: 5 }).weight, 1 / 5);
    expectUniform(new nn.Conv2d(64, 64, { kernelSize: 5, groups: 4 }).weight, 1 / Math.sqrt(25 * 16));
    expectUniform(new nn.ConvTranspose2d(64, 32, { kernelSize: 3 }).weight, 1 / Math.sqrt(9 * 32));
  });

  it("are Keras's in layers: Glorot's uniform distribution, and no bias", () => {
    const conv = layers.conv2d({ filters: 64, kernelSize: 3, inputShape: [8, 8, 32] }).build([8, 8, 32]);
    expectUniform(conv.weight, Math.sqrt(6 / (9 * 32 + 9 * 64)));
    expect(statistics(conv.bias!).max).toBe(0);
    expectUniform(layers.dense({ units: 100 }).build([200]).weight, Math.sqrt(6 / 300));
    const depthwise = layers.depthwiseConv2d({ kernelSize: 5, depthMultiplier: 2 }).build([8, 8, 300]);
    expectUniform(depthwise.weight, Math.sqrt(6 / (25 * 300 + 25 * 2)));
  });

  it.each([
    ['heNormal', Math.sqrt(2 / 300), true],
    ['he_normal', Math.sqrt(2 / 300), true],
    ['glorotNormal', Math.sqrt(2 / 500), true],
    ['lecunNormal', Math.sqrt(1 / 300), true],
    ['kaimingNormal', Math.sqrt(2 / 300), false],
    ['xavierNormal', Math.sqrt(2 / 500), false],
    ['randomNormal', 0.05, false],
  ])('%s has its standard deviation', (name, expected, cut) => {
    const { std, mean, max } = statistics(layers.dense({ units: 200, kernelInitializer: name }).build([300]).weight);
    expect(Math.abs(std / expected - 1)).toBeLessThan(0.03);
    expect(Math.abs(mean)).toBeLessThan(0.03 * expected);
    expect(max < 2.5 * expected).toBe(cut);
  });

  it.each([
    ['heUniform', Math.sqrt(6 / 300)],
    ['kaimingUniform', Math.sqrt(6 / 300)],
    ['lecunUniform', Math.sqrt(3 / 300)],
    ['xavierUniform', Math.sqrt(6 / 500)],
    ['randomUniform', 0.05],
  ])('%s has its limit', (name, limit) => {
    expectUniform(layers.dense({ units: 200, kernelInitializer: name }).build([300]).weight, limit);
  });

  it('come from functions too, and in place', () => {
    const layer = new nn.Linear(2, 3, { kernelInitializer: nn.init.constant(7), biasInitializer: 'ones' });
    expectExact(layer.weight, [7, 7, 7, 7, 7, 7]);
    expectExact(layer.bias!, [1, 1, 1]);
    nn.init.fill(layer.weight, 'zeros');
    expectExact(layer.weight, [0, 0, 0, 0, 0, 0]);
    expect(errorOf(() => new nn.Linear(2, 3, { kernelInitializer: 'heNrmal' })).message).toMatch(
      /did you mean 'heNormal'/,
    );
  });

  it('repeat with the seed', () => {
    const weights = [1, 1, 2].map((seed) => {
      setSeed(seed);
      return Array.from(new nn.Conv2d(3, 4, 3).weight.dataSync());
    });
    expect(weights[0]).toEqual(weights[1]);
    expect(weights[0]).not.toEqual(weights[2]);
  });
});

describe('printing', () => {
  it("shows arguments in PyTorch's words", () => {
    const model = new nn.Sequential(
      new nn.Conv2d(3, 4, 3, { padding: 'same' }),
      new nn.Conv2d(4, 8, { kernelSize: [3, 1], stride: 2, dilation: 2, groups: 2, bias: false }),
      new nn.ConvTranspose2d(3, 4, [3, 2], { stride: 2, padding: 1, outputPadding: 1, bias: false }),
      new nn.MaxPool2d([3, 2], { stride: [2, 1], ceilMode: true }),
      new nn.MaxPool2d(3, 2),
      new nn.AvgPool2d([2, 3], { stride: 1, padding: 1 }),
      new nn.AdaptiveAvgPool2d(1),
      new nn.AdaptiveMaxPool2d([2, 3]),
      new nn.BatchNorm2d(3, { momentum: 1 - 0.99 }),
      new nn.GroupNorm(2, 4),
      new nn.LayerNorm(64),
      new nn.LayerNorm([3, 4], { bias: false }),
      new nn.Dropout(),
      new nn.Flatten(),
      new nn.Softmax(),
      new nn.LeakyReLU(),
      new nn.ELU(),
      new nn.GELU(),
      new nn.GELU({ approximate: true }),
      new nn.ReLU6(),
      new nn.Identity(),
    );
    expect(String(model)).toBe(`Sequential(
  (0): Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1), padding=same)
  (1): Conv2d(4, 8, kernel_size=(3, 1), stride=(2, 2), dilation=(2, 2), groups=2, bias=False)
  (2): ConvTranspose2d(3, 4, kernel_size=(3, 2), stride=(2, 2), padding=(1, 1), output_padding=(1, 1), bias=False)
  (3): MaxPool2d(kernel_size=(3, 2), stride=(2, 1), padding=0, dilation=1, ceil_mode=True)
  (4): MaxPool2d(kernel_size=3, stride=2, padding=0, dilation=1, ceil_mode=False)
  (5): AvgPool2d(kernel_size=(2, 3), stride=1, padding=1)
  (6): AdaptiveAvgPool2d(output_size=1)
  (7): AdaptiveMaxPool2d(output_size=(2, 3))
  (8): BatchNorm2d(3, eps=1e-05, momentum=0.01, affine=True, bias=True, track_running_stats=True)
  (9): GroupNorm(2, 4, eps=1e-05, affine=True, bias=True)
  (10): LayerNorm((64,), eps=1e-05, elementwise_affine=True, bias=True)
  (11): LayerNorm((3, 4), eps=1e-05, elementwise_affine=True, bias=False)
  (12): Dropout(p=0.5, inplace=False)
  (13): Flatten(start_dim=1, end_dim=-1)
  (14): Softmax(dim=-1)
  (15): LeakyReLU(negative_slope=0.01)
  (16): ELU(alpha=1.0)
  (17): GELU(approximate='none')
  (18): GELU(approximate='tanh')
  (19): ReLU6()
  (20): Identity()
)`);
  });
});

describe('layers without their input shape', () => {
  it('make their weights at the first call, or when told the shape', () => {
    const dense = layers.dense({ units: 3 });
    expect(dense.built).toBe(false);
    expect(String(dense)).toBe('Linear(in_features=?, out_features=3, bias=True)');
    expect(dense(zeros([2, 5])).shape).toEqual([2, 3]);
    expect(dense.weight.shape).toEqual([5, 3]);
    expect(
      layers.conv2d({ filters: 2, kernelSize: 3, dataFormat: 'channels_first' }).build([4, 9, 9]).weight.shape,
    ).toEqual([3, 3, 4, 2]);
    expect(layers.batchNormalization({ axis: 1 }).build([7, 2, 3]).weight!.shape).toEqual([7]);
  });

  it('stay frozen when they get them', () => {
    const dense = layers.dense({ units: 3, trainable: false }).build([2]);
    expect(dense.trainableParameters()).toEqual([]);
    const nested = new nn.Sequential(layers.dense({ units: 3 }));
    nested.trainable = false;
    expect(nested.build([2]).trainableParameters()).toEqual([]);
  });
});

describe('batch normalization', () => {
  const data = new TestData();
  const x = data.tensor([6, 4], 1, 3);
  const values = x.dataSync();
  const column = (c: number): number[] => Array.from({ length: 6 }, (_, i) => values[4 * i + c]!);
  const meanOf = (list: number[]): number => list.reduce((a, b) => a + b, 0) / list.length;
  const squares = (list: number[]): number => list.reduce((sum, v) => sum + (v - meanOf(list)) ** 2, 0);

  it("collects statistics in PyTorch's way in nn", () => {
    const norm = new nn.BatchNorm2d(4);
    norm(x);
    expectClose(
      norm.runningMean!,
      [0, 1, 2, 3].map((c) => 0.1 * meanOf(column(c))),
      {},
      `seed ${data.seed}`,
    );
    expectClose(
      norm.runningVar!,
      [0, 1, 2, 3].map((c) => 0.9 + (0.1 * squares(column(c))) / 5),
      {},
      `seed ${data.seed}`,
    );
  });

  it("collects statistics in Keras's way in layers", () => {
    const norm = layers.batchNormalization();
    norm(x);
    expectClose(
      norm.runningMean!,
      [0, 1, 2, 3].map((c) => 0.01 * meanOf(column(c))),
      {},
      `seed ${data.seed}`,
    );
    expectClose(
      norm.runningVar!,
      [0, 1, 2, 3].map((c) => 0.99 + (0.01 * squares(column(c))) / 6),
      {},
      `seed ${data.seed}`,
    );
  });

  it('normalises any axis', () => {
    const last = layers.batchNormalization();
    const first = layers.batchNormalization({ axis: 1 });
    const image = data.tensor([2, 3, 4, 5]);
    const y = new nn.Permute([3, 1, 2])(last(new nn.Permute([2, 3, 1])(image)));
    expectClose(first(image), y.dataSync(), {}, `seed ${data.seed}`);
    expect(errorOf(() => layers.batchNormalization({ axis: 4 }).build([2, 3]))).toMatchObject({ code: 'ERR_SHAPE' });
  });

  it('uses the batch where it tracks nothing', () => {
    const norm = new nn.BatchNorm2d(4, { trackRunningStats: false, affine: false });
    expectClose(norm.eval()(x), norm.train()(x).dataSync());
    expect(norm.stateDict().size).toBe(0);
  });
});

describe('dropout', () => {
  const x = ones([8, 6, 6, 16]);

  it('drops elements in training, and nothing in inference', () => {
    setSeed(3);
    const layer = new nn.Dropout(0.25);
    const y = layer(x).dataSync();
    const dropped = y.filter((value) => value === 0).length / y.length;
    expect(Math.abs(dropped - 0.25)).toBeLessThan(0.03);
    expect(new Set(y)).toEqual(new Set([0, Math.fround(1 / 0.75)]));
    expectExact(layer.eval()(x), x.dataSync());
  });

  it('drops whole channels of images', () => {
    setSeed(4);
    const y = layers.spatialDropout2d({ rate: 0.5 })(x).dataSync();
    for (let n = 0; n < 8; n++) {
      for (let c = 0; c < 16; c++) {
        const channel = new Set(Array.from({ length: 36 }, (_, i) => y[(n * 36 + i) * 16 + c]));
        expect(channel.size).toBe(1);
      }
    }
    expect(new Set(y)).toEqual(new Set([0, 2]));
  });

  it('refuses what is no probability', () => {
    expect(errorOf(() => new nn.Dropout(1))).toMatchObject({ code: 'ERR_VALUE', message: /Dropout: p must be/ });
  });
});

describe('preprocessing', () => {
  it('rescales bytes, channel by channel if asked', () => {
    const bytes = tensor(Uint8Array.of(0, 255, 51, 102), [1, 2, 2]);
    expectClose(layers.rescaling({ scale: 1 / 255 })(bytes), [0, 1, 0.2, 0.4]);
    expectClose(layers.rescaling({ scale: [1, 2], offset: [10, -1] })(bytes), [10, 509, 61, 203]);
    const layer = new nn.Rescaling([1, 2]);
    expect(layer.stateDict().size).toBe(0);
  });

  it('normalises with the statistics of the data that it has seen', async () => {
    const data = new TestData();
    const x = data.tensor([10, 3, 2], -2, 5);
    const whole = layers.normalization();
    await whole.adapt(x);
    const values = x.dataSync();
    for (const c of [0, 1]) {
      const channel = Array.from({ length: 30 }, (_, i) => values[2 * i + c]!);
      const mean = channel.reduce((a, b) => a + b, 0) / 30;
      const variance = channel.reduce((sum, v) => sum + (v - mean) ** 2, 0) / 30;
      expectClose([whole.mean!.dataSync()[c]!], [mean], { absolute: 1e-6 }, `seed ${data.seed}`);
      expectClose([whole.variance!.dataSync()[c]!], [variance], {}, `seed ${data.seed}`);
    }
    const inBatches = layers.normalization();
    await inBatches.adapt([tensor(values.slice(0, 24), [4, 3, 2]), tensor(values.slice(24), [6, 3, 2])]);
    expectClose(inBatches.mean!, whole.mean!.dataSync(), { absolute: 1e-6 });
    expectClose(inBatches.variance!, whole.variance!.dataSync());
    const y = whole(x);
    const back = new nn.Normalization({ mean: 0, variance: 1, invert: true });
    back.build([3, 2]).loadStateDict(whole.stateDict());
    expectClose(back(y), values, { absolute: 1e-5 });
  });

  it('normalises with given statistics, and everything alike without an axis', async () => {
    expectClose(layers.normalization({ mean: [1, 2], variance: 4 })(tensor([[3, 4]])), [1, 1]);
    const layer = layers.normalization({ axis: null });
    await layer.adapt(
      tensor([
        [1, 3],
        [5, 7],
      ]),
    );
    expectClose(layer.mean!, [4]);
    expectClose(layer.variance!, [5]);
    expect(errorOf(() => layers.normalization({ mean: 1 }))).toMatchObject({ code: 'ERR_VALUE' });
  });
});

describe('merging', () => {
  const [a, b] = [tensor([[1, 5]]), tensor([[4, 2]])];

  it.each([
    { layer: layers.add(), expected: [5, 7] },
    { layer: layers.subtract(), expected: [-3, 3] },
    { layer: layers.multiply(), expected: [4, 10] },
    { layer: layers.average(), expected: [2.5, 3.5] },
    { layer: layers.maximum(), expected: [4, 5] },
    { layer: layers.minimum(), expected: [1, 2] },
    { layer: layers.concatenate(), expected: [1, 5, 4, 2] },
  ])('$layer.type', ({ layer, expected }) => {
    expectExact(layer([a, b]), expected);
    expectExact(layer(a, b), expected);
  });

  it('joins along an axis', () => {
    expect(layers.concatenate({ axis: 1 })([zeros([2, 3, 4]), zeros([2, 5, 4])]).shape).toEqual([2, 8, 4]);
  });
});

describe('gradients through layers', () => {
  const data = new TestData();
  it.each([
    ['SeparableConv2d', new nn.SeparableConv2d(2, 3, { kernelSize: 2, depthMultiplier: 2 }), [1, 4, 3, 2]],
    ['Conv2d in channels_first', new nn.Conv2d(2, 3, 2, { dataFormat: 'channels_first' }), [1, 2, 4, 3]],
    ['UpSampling2d', new nn.UpSampling2d([2, 1], { interpolation: 'bilinear' }), [1, 3, 3, 2]],
    [
      'ZeroPadding2d',
      new nn.ZeroPadding2d([
        [1, 0],
        [2, 1],
      ]),
      [1, 2, 3, 2],
    ],
    [
      'Cropping2d',
      new nn.Cropping2d([
        [1, 0],
        [0, 1],
      ]),
      [1, 3, 3, 2],
    ],
    ['Flatten in channels_first', new nn.Flatten(1, 'channels_first'), [2, 2, 3, 2]],
    ['Average', new nn.Average(), [2, 3]],
    ['BatchNorm2d on axis 1', new nn.BatchNorm2d(2, { axis: 1 }), [3, 2, 2]],
    ['selu', new nn.Activation('selu'), [5, 3]],
  ] as [string, nn.Module, number[]][])('%s', (_, layer, shape) => {
    gradCheck((x) => (layer instanceof nn.Average ? layer(x, x) : layer(x)), [data.tensor(shape, 0.1, 1)], {
      tolerance: 2e-2,
    });
  });
});

describe('bad input', () => {
  const disposed = zeros([1, 5, 5, 3]);
  disposed.dispose();
  const conv = new nn.Sequential(['conv1', new nn.Conv2d(3, 4, 3)]);
  const image = zeros([1, 5, 5, 3]);
  const dense = new nn.Linear(2, 3);
  const strideZero = new nn.Conv2d(3, 4, 3, { stride: 0 });
  const negativePadding = new nn.Conv2d(3, 4, 3, { padding: -1 });
  const norm4 = new nn.BatchNorm2d(4);
  const norm3 = new nn.BatchNorm2d(3);
  const layerNorm = new nn.LayerNorm([4]);
  const wrongLayout = new nn.MaxPool2d(2, { dataFormat: 'NCHW' as never });

  const calls: [what: string, call: () => unknown, code: string, message: RegExp][] = [
    [
      'the wrong rank',
      () => conv(zeros([5, 5, 3])),
      'ERR_SHAPE',
      /^Sequential\.conv1 \(Conv2d\): conv2d: input must have 4/,
    ],
    ['the wrong channels', () => conv(zeros([1, 5, 5, 2])), 'ERR_SHAPE', /conv1 .* wants 3 input channels/],
    ['a kernel larger than the image', () => conv(zeros([1, 2, 5, 3])), 'ERR_SHAPE', /conv1 .* kernel's height, 3/],
    ['bytes', () => conv(zeros([1, 5, 5, 3], 'uint8')), 'ERR_DTYPE', /conv1 .*input must be float32, got uint8/],
    ['integers for a dense layer', () => dense.call(zeros([1, 2], 'int32') as never), 'ERR_DTYPE', /^Linear: x must/],
    ['a disposed tensor', () => conv(disposed), 'ERR_DISPOSED', /^Sequential\.conv1 \(Conv2d\): this tensor/],
    ['nothing', () => conv(undefined as never), 'ERR_VALUE', /^Sequential: wants a tensor, got undefined/],
    ['a list', () => conv([1, 2] as never), 'ERR_VALUE', /conv1 .* must be a tensor/],
    ['a zero stride', () => strideZero(image), 'ERR_VALUE', /^Conv2d: .*stride must be at least 1/],
    ['a negative padding', () => negativePadding(image), 'ERR_VALUE', /^Conv2d: .*padding/],
    ['a window larger than the image', () => new nn.MaxPool2d(7)(image), 'ERR_SHAPE', /^MaxPool2d: .*7x7/],
    ['other channels for batch norm', () => norm4(image), 'ERR_SHAPE', /^BatchNorm2d: .*\[4\]/],
    ['one value a channel', () => norm3(zeros([1, 3])), 'ERR_SHAPE', /^BatchNorm2d: .*unbiased/],
    ['another shape for layer norm', () => layerNorm(image), 'ERR_SHAPE', /^LayerNorm: x must end in \[4\]/],
    ['too much cropping', () => new nn.Cropping2d(3)(image), 'ERR_SHAPE', /^Cropping2d: .*leaves nothing/],
    ['a shape that does not fit', () => new nn.Reshape([4, -1])(image), 'ERR_SHAPE', /^Reshape: the 75 elements/],
    [
      'no image where one is wanted',
      () => new nn.SpatialDropout2d()(zeros([2, 3])),
      'ERR_SHAPE',
      /^SpatialDropout2d: x must/,
    ],
    ['shapes that do not add', () => layers.add()([zeros([2, 3]), zeros([2, 4])]), 'ERR_SHAPE', /^Add: .*broadcast/],
    [
      'no output channels',
      () => new nn.Conv2d(3, 0, 3),
      'ERR_VALUE',
      /^Conv2d: outChannels must be a positive integer/,
    ],
    ['half a channel', () => new nn.Linear(1.5, 2), 'ERR_VALUE', /^Linear: inFeatures must be a positive integer/],
    ['no kernel', () => new nn.Conv2d(3, 4, {} as never), 'ERR_VALUE', /^Conv2d: kernelSize must be/],
    ['no options', () => new nn.Conv2d(3, 4, undefined as never), 'ERR_VALUE', /^Conv2d: kernelSize .* got undefined/],
    ['a text for a kernel', () => new nn.Conv2d(3, 4, '3' as never), 'ERR_VALUE', /^Conv2d: kernelSize .* got "3"/],
    ['an unknown layout', () => wrongLayout(image), 'ERR_VALUE', /^MaxPool2d: dataFormat must be .* got "NCHW"/],
    ['numbers for a dense layer', () => dense([1, 2] as never), 'ERR_VALUE', /^Linear: x must be a tensor/],
    [
      'groups that do not divide',
      () => new nn.Conv2d(3, 4, 3, { groups: 2 }),
      'ERR_VALUE',
      /^Conv2d: groups must divide/,
    ],
    ['an unknown option', () => layers.dense({ units: 1, kernalSize: 3 } as never), 'ERR_VALUE', /'kernalSize'/],
    [
      'an unknown activation',
      () => layers.dense({ units: 1, activation: 'rleu' }),
      'ERR_VALUE',
      /^Linear: activation 'rleu' .* did you mean 'relu'/,
    ],
    ['wrong paddings', () => new nn.ZeroPadding2d([1, 2, 3] as never), 'ERR_VALUE', /^ZeroPadding2d: padding must be/],
  ];

  it.each(calls)('%s is refused with the name of the layer', (_, call, code, message) => {
    expect(errorOf(call)).toMatchObject({ code, message });
  });

  it('leaks nothing in 10,000 calls, after which everything works', () => {
    const cycle = (): void => tidy(() => calls.forEach(([, call]) => errorOf(call)));
    cycle();
    const before = memory();
    for (let i = 0; i < 10_000 / calls.length; i++) cycle();
    expect(memory()).toMatchObject({ tensors: before.tensors, blocks: before.blocks, bytes: before.bytes });
    expect(conv(image).shape).toEqual([1, 3, 3, 4]);
  });
});
