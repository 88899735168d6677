import { describe, expect, it } from 'vitest';
import { layers, memory, nn, noGrad, tensor, tidy, zeros, type Tensor } from '../../lib';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { TestData } from '../support/random';

function residual() {
  const x = nn.input({ shape: [4, 4, 2] });
  const a = layers.conv2d({ filters: 3, kernelSize: 3, padding: 'same', activation: 'relu' })(x);
  const b = layers.conv2d({ filters: 3, kernelSize: 1 })(x);
  const sum = layers.add()([a, b]);
  const y = layers.dense({ units: 2, activation: 'softmax' })(layers.globalAveragePooling2d()(sum));
  return new nn.Graph({ inputs: x, outputs: y });
}

describe('Graph', () => {
  it('computes what its layers compute', () => {
    const data = new TestData();
    const model = residual();
    const x = data.tensor([2, 4, 4, 2]);
    const [a, b, add, pool, dense] = model.layers as [nn.Conv2d, nn.Conv2d, nn.Add, nn.GlobalAvgPool2d, nn.Linear];
    expectClose(model(x), dense(pool(add([a(x), b(x)]))).dataSync(), {}, `seed ${data.seed}`);
    expect(model.finalActivation).toBe('softmax');
    expectClose(model.logits(x), dense.logits(pool(add([a(x), b(x)]))).dataSync(), {}, `seed ${data.seed}`);
    expect(Array.from(model.namedChildren(), ([name]) => name)).toEqual([
      'conv2d',
      'conv2d_1',
      'add',
      'global_average_pooling2d',
      'dense',
    ]);
  });

  it('trains through every branch, and shares the weights of a layer that is called twice', () => {
    const [p, q] = [nn.input({ shape: [2] }), nn.input({ shape: [2] })];
    const shared = layers.dense({ units: 3, useBias: false, kernelInitializer: 'ones' });
    const model = new nn.Graph({ inputs: [p, q], outputs: layers.multiply()([shared(p), shared(q)]) });
    const y = model(tensor([[1, 2]]), tensor([[3, 4]]));
    expectExact(y, [21, 21, 21]);
    expectExact(model([tensor([[1, 2]]), tensor([[3, 4]])]), [21, 21, 21]);
    y.backward({ gradient: tensor([[1, 0, 0]]) });
    expectExact(shared.weight.grad!, [1 * 7 + 3 * 3, 0, 0, 2 * 7 + 4 * 3, 0, 0]);
    expect(model.parameters()).toHaveLength(1);
    expect(errorOf(() => model(tensor([[1, 2]]))).message).toBe('Graph: wants 2 inputs, got 1');
  });

  it('has as many outputs as it is given', () => {
    const x = nn.input({ shape: [3] });
    const h = layers.dense({ units: 2 })(x);
    const model = new nn.Graph({ inputs: x, outputs: [h, layers.activation({ activation: 'relu' })(h)] });
    const [a, b] = model(tensor([[1, -2, 3]])) as [Tensor, Tensor];
    expectExact(
      b,
      a.dataSync().map((value) => Math.max(value, 0)),
    );
    expect(model.outputShape([3])).toEqual([[2], [2]]);
    expect(model.finalActivation).toBe(null);
  });

  it('is cut out of another one', () => {
    const whole = residual();
    const features = new nn.Graph({ inputs: whole.inputs, outputs: whole.outputOf('add') });
    expect(features(zeros([1, 4, 4, 2])).shape).toEqual([1, 4, 4, 3]);
    const head = new nn.Graph({ inputs: whole.outputOf('add'), outputs: whole.outputs });
    const x = new TestData().tensor([1, 4, 4, 2]);
    expectClose(head(features(x)), whole(x).dataSync());
  });

  it('is a layer of another one', () => {
    const inner = residual();
    const x = nn.input({ shape: [4, 4, 2] });
    const model = new nn.Graph({ inputs: x, outputs: layers.dense({ units: 5 })(inner(x)) });
    expect(model(zeros([3, 4, 4, 2])).shape).toEqual([3, 5]);
    expect([...model.stateDict().keys()]).toContain('graph.conv2d_1.weight');
  });

  it('frees what it computes on the way', () => {
    const model = residual();
    const x = zeros([1, 4, 4, 2]);
    const before = memory().tensors;
    const y = noGrad(() => model(x));
    expect(memory().tensors).toBe(before + 1);
    y.dispose();
  });

  it('has the table of a model that branches', () => {
    const text = residual().summary({ width: 108 });
    expect(text).toContain('Connected to');
    expect(text).toMatch(/│ input_layer \(InputLayer\)\s+│ \(None, 4, 4, 2\)\s+│\s+0 │ -\s+│/);
    expect(text).toMatch(/│ add \(Add\)\s+│ \(None, 4, 4, 3\)\s+│\s+0 │ conv2d\[0\]\[0\],\s+│/);
    expect(text).toContain(' Total params: 74 (296.00 B)');
    const x = nn.input({ shape: [3] });
    expect(new nn.Graph({ inputs: x, outputs: layers.dense({ units: 2 })(x) }).summary()).not.toContain('Connected');
  });

  it('reports layers that do not fit, by name', () => {
    const x = nn.input({ shape: [4, 4, 2] });
    const y = layers.conv2d({ filters: 2, kernelSize: 3 })(x);
    expect(errorOf(() => layers.add({ name: 'sum' })([x, y]))).toMatchObject({ code: 'ERR_SHAPE', message: /^sum: / });
    expect(errorOf(() => layers.add()(x)).message).toBe('Add: wants a list of two or more tensors, got 1');
    const model = residual();
    expect(errorOf(() => model(zeros([1, 4, 4, 5])))).toMatchObject({
      code: 'ERR_SHAPE',
      message: /^Graph\.conv2d \(Conv2D\): conv2d: /,
    });
    const [a, b] = [layers.dense({ name: 'a', units: 1 }), layers.dense({ name: 'a', units: 1 })];
    const z = nn.input({ shape: [2] });
    expect(errorOf(() => new nn.Graph({ inputs: z, outputs: b(a(z)) })).message).toBe(
      "two layers of one model are named 'a'",
    );
  });

  it('reports what is not connected', () => {
    const [x, other] = [nn.input({ shape: [2] }), nn.input({ shape: [2], name: 'other' })];
    const y = layers.add({ name: 'sum' })([x, other]);
    expect(errorOf(() => new nn.Graph({ inputs: x, outputs: y })).message).toBe(
      "Graph: disconnected: sum depends on the input 'other' of shape [2], which is not among the model's inputs",
    );
    expect(errorOf(() => new nn.Graph({ inputs: [x, other], outputs: layers.identity()(x) })).message).toBe(
      'Graph: disconnected: input 1 does not lead to any output',
    );
    expect(errorOf(() => new nn.Graph({ inputs: x, outputs: zeros([1]) as never }))).toMatchObject({
      code: 'ERR_VALUE',
    });
    expect(errorOf(() => nn.input({ shape: [0, 2] }))).toMatchObject({ code: 'ERR_SHAPE' });
    expect(errorOf(() => nn.functional.relu(x as never)).message).toMatch(/symbolic tensor has no values/);
  });
});

describe('configuration', () => {
  const rebuilt = (model: nn.Module): nn.Module =>
    nn.fromConfig(JSON.parse(JSON.stringify(nn.toConfig(model))) as nn.ModuleConfig);

  it('rebuilds a graph', () => {
    const model = residual();
    model.getLayer('conv2d_1').trainable = false;
    const copy = rebuilt(model);
    copy.loadStateDict(model.stateDict());
    const x = new TestData().tensor([2, 4, 4, 2]);
    expectExact(copy(x), model(x).dataSync());
    expect(copy.summary()).toBe(model.summary());
    expect((copy as nn.Graph).getLayer('conv2d_1').trainable).toBe(false);
    expect(copy.trainableParameters()).toHaveLength(4);
  });

  it('rebuilds every kind of layer', () => {
    const model = new nn.Sequential(
      layers.rescaling({ scale: [1, 2], offset: -1, inputShape: [8, 8, 2] }),
      layers.normalization({ mean: [0.1, 0.2], variance: 2 }),
      layers.zeroPadding2d({
        padding: [
          [1, 0],
          [0, 1],
        ],
      }),
      layers.conv2d({ name: 'first', filters: 4, kernelSize: [3, 2], strides: 2, padding: 'same', activation: 'relu' }),
      layers.depthwiseConv2d({ kernelSize: 3, padding: 'same', depthMultiplier: 2 }),
      layers.batchNormalization({ momentum: 0.9, scale: false }),
      layers.separableConv2d({ filters: 6, kernelSize: 3, padding: 'same', useBias: false }),
      layers.conv2dTranspose({ filters: 4, kernelSize: 2, strides: 2 }),
      layers.groupNormalization({ groups: 2 }),
      layers.layerNormalization({ axis: [-2, -1] }),
      layers.maxPooling2d({ poolSize: [2, 1], padding: 'same' }),
      layers.averagePooling2d({ poolSize: 2, strides: 1 }),
      layers.upSampling2d({ size: [1, 2], interpolation: 'bilinear' }),
      layers.cropping2d({ cropping: 1 }),
      layers.spatialDropout2d({ rate: 0.2 }),
      layers.leakyReLU(),
      layers.reLU({ maxValue: 6 }),
      layers.permute({ dims: [2, 1, 3] }),
      new nn.Sequential(new nn.Conv2d(4, 4, 1, { groups: 2 }), new nn.GELU({ approximate: true })),
      new nn.AdaptiveAvgPool2d(2),
      layers.flatten(),
      layers.dense({ units: 6, activation: 'tanh', kernelInitializer: 'heNormal' }),
      layers.reshape({ targetShape: [2, -1] }),
      layers.elu({ alpha: 0.5 }),
      layers.dropout({ rate: 0.25 }),
      layers.softmax(),
    );
    const copy = rebuilt(model);
    expect(String(copy)).toBe(String(model));
    expect(copy.summary()).toBe(model.summary());
    copy.loadStateDict(model.stateDict());
    const x = new TestData().tensor([2, 8, 8, 2]);
    expectExact(copy.eval()(x), model.eval()(x).dataSync());
  });

  it('rebuilds classes that are registered, and names those that are not', () => {
    class Block extends nn.Module {
      dense: nn.Linear;
      constructor(readonly width: number) {
        super();
        this.dense = new nn.Linear(width, width);
      }
      forward(x: Tensor): Tensor {
        return this.dense(x);
      }
      override config(): Record<string, unknown> {
        return { width: this.width };
      }
    }
    const model = new nn.Sequential(new Block(3));
    expect(errorOf(() => nn.toConfig(model))).toMatchObject({
      code: 'ERR_STATE',
      message: /layers\[0\] \(Block\) cannot/,
    });
    nn.registerModule('Block', Block, ({ width }: { width: number }) => new Block(width));
    expect(String(rebuilt(model))).toBe(String(model));
    expect(errorOf(() => nn.registerModule('Block', nn.ReLU))).toMatchObject({ code: 'ERR_VALUE' });
  });

  it('refuses what is no configuration', () => {
    expect(errorOf(() => nn.fromConfig({ class: 'Nothing', config: {} }))).toMatchObject({ code: 'ERR_FORMAT' });
    expect(errorOf(() => nn.fromConfig({} as never))).toMatchObject({ code: 'ERR_FORMAT' });
    const config = nn.toConfig(residual());
    const [first] = (config.config as { calls: { inputs: { from: number[][] }[] }[] }).calls;
    first!.inputs[0]!.from = [[3, 0]];
    expect(errorOf(() => nn.fromConfig(config))).toMatchObject({ code: 'ERR_FORMAT', message: /cycle/ });
    const fn = new nn.Sequential(new nn.Linear(1, 1, { activation: (x) => x }));
    expect(errorOf(() => nn.toConfig(fn)).message).toMatch(/layers\[0\].*activation is a function/);
  });

  it('leaves nothing behind', () => {
    tidy(() => rebuilt(residual()).dispose());
    const before = memory().tensors;
    tidy(() => rebuilt(residual()).dispose());
    expect(memory().tensors).toBe(before + 6); // residual()'s own
  });
});
