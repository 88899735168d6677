import { describe, expect, it } from 'vitest';
import { layers, memory, nn, relu, softmax, tidy, view, zeros, type Tensor } from '../../lib';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { TestData } from '../support/random';

class SimpleCNN extends nn.Module {
  conv1 = new nn.Conv2d(3, 32, { kernelSize: 3, padding: 1 });
  pool = new nn.MaxPool2d(2);
  conv2 = new nn.Conv2d(32, 64, { kernelSize: 3 });
  fc1 = new nn.Linear(64 * 6 * 6, 64);
  fc2 = new nn.Linear(64, 10);

  forward(x: Tensor): Tensor {
    x = this.pool(relu(this.conv1(x)));
    x = this.pool(relu(this.conv2(x)));
    x = view(x, [-1, 64 * 6 * 6]);
    x = relu(this.fc1(x));
    return softmax(this.fc2(x));
  }
}

function kerasCNN(): nn.Sequential {
  return new nn.Sequential([
    layers.conv2d({ filters: 32, kernelSize: 3, activation: 'relu', inputShape: [32, 32, 3] }),
    layers.maxPooling2d({ poolSize: 2 }),
    layers.conv2d({ filters: 64, kernelSize: 3, activation: 'relu' }),
    layers.maxPooling2d({ poolSize: 2 }),
    layers.flatten(),
    layers.dense({ units: 64, activation: 'relu' }),
    layers.dense({ units: 10, activation: 'softmax' }),
  ]);
}

describe('SimpleCNN', () => {
  it('prints as in PyTorch', () => {
    expect(String(new SimpleCNN())).toBe(`SimpleCNN(
  (conv1): Conv2d(3, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
  (pool): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
  (conv2): Conv2d(32, 64, kernel_size=(3, 3), stride=(1, 1))
  (fc1): Linear(in_features=2304, out_features=64, bias=True)
  (fc2): Linear(in_features=64, out_features=10, bias=True)
)`);
  });

  it('classifies 28×28 images, for any size of the batch', () => {
    const model = new SimpleCNN();
    for (const batch of [1, 36]) {
      const y = model(zeros([batch, 28, 28, 3]));
      expect(y.shape).toEqual([batch, 10]);
      const total = y.dataSync().reduce((a, b) => a + b, 0);
      expect(Math.abs(total - batch)).toBeLessThan(1e-4);
    }
  });

  it('says what is wrong with 32×32 images, where the view fails', () => {
    const error = errorOf(() => new SimpleCNN()(zeros([8, 32, 32, 3])));
    expect(error).toMatchObject({
      code: 'ERR_SHAPE',
      message:
        'SimpleCNN.fc1 (Linear): got 3136 features, wanted 2304: view([-1, 2304]) in SimpleCNN cannot flatten ' +
        '[8, 7, 7, 64], the output of SimpleCNN.pool (MaxPool2d)',
    });
  });

  it('says so too where the numbers happen to divide', () => {
    expect(errorOf(() => new SimpleCNN()(zeros([36, 32, 32, 3])))).toMatchObject({
      code: 'ERR_SHAPE',
      message:
        'SimpleCNN.fc1 (Linear): got 3136 features, wanted 2304: a view in SimpleCNN made [49, 2304] of ' +
        '[36, 7, 7, 64], the output of SimpleCNN.pool (MaxPool2d)',
    });
  });

  it('leaks nothing over bad calls, and works on', () => {
    const model = new SimpleCNN();
    const x = zeros([1, 32, 32, 3]);
    const before = memory();
    for (let i = 0; i < 100; i++) errorOf(() => model(x));
    expect(memory()).toMatchObject({ tensors: before.tensors, blocks: before.blocks });
    expect(tidy(() => model(zeros([1, 28, 28, 3])).shape)).toEqual([1, 10]);
  });

  it('is summarized for an input shape', () => {
    const text = new SimpleCNN().summary({ inputShape: [28, 28, 3], width: 76 });
    expect(text).toContain('Model: "simple_cnn"');
    expect(text).toContain('│ conv2 (Conv2d)                  │ (None, 12, 12, 64)     │        18,496 │');
    expect(text).toContain('│ pool (MaxPool2d)                │ (None, 6, 6, 64)       │             0 │');
    expect(text).toContain(' Total params: 167,562 (654.54 KB)');
    expect(new SimpleCNN().summary({ width: 76 })).toContain(
      '│ fc2 (Linear)                    │ ?                      │',
    );
  });
});

describe('the features of a dense layer', () => {
  class Net extends nn.Module {
    body = new nn.Sequential(new nn.MaxPool2d(2), new nn.Flatten(), new nn.Dropout(0.5));
    head = new nn.Linear(12, 2);

    constructor(readonly between: (x: Tensor) => Tensor = (x) => x) {
      super();
    }

    forward(x: Tensor): Tensor {
      return this.head(this.between(this.body(x)));
    }
  }

  it('are explained by the layer that flattened', () => {
    expect(errorOf(() => new Net().eval()(zeros([2, 6, 6, 3]))).message).toBe(
      'Net.head (Linear): got 27 features, wanted 12: Net.body.1 (Flatten) made [2, 27] of [2, 3, 3, 3], ' +
        'the output of Net.body.0 (MaxPool2d)',
    );
  });

  it('are explained by the layer that made the input, where nothing was flattened', () => {
    const model = new nn.Sequential(new nn.Linear(3, 4), new nn.Linear(5, 2));
    expect(errorOf(() => model(zeros([2, 3]))).message).toBe(
      'Sequential.1 (Linear): got 4 features, wanted 5: x has shape [2, 4], the output of Sequential.0 (Linear)',
    );
    expect(errorOf(() => new nn.Linear(5, 2)(zeros([2, 3]))).message).toBe(
      'Linear: got 3 features, wanted 5: x has shape [2, 3]',
    );
    expect(errorOf(() => new nn.Linear(5, 2)(zeros([]))).message).toBe(
      'Linear: got no features, wanted 5: x has shape []',
    );
  });

  it('raise no alarm about views that keep samples apart', () => {
    const dense = new nn.Linear(6, 2);
    const tokens = new nn.Identity();
    for (const [from, to] of [
      [
        [5, 4, 6],
        [20, 6],
      ],
      [
        [5, 2, 2, 6],
        [-1, 6],
      ],
      [
        [5, 2, 3, 1],
        [-1, 6],
      ],
      [
        [5, 12],
        [10, 6],
      ],
      [
        [4, 3],
        [2, 6],
      ],
      [
        [4, 3, 1],
        [2, 6],
      ],
      [
        [1, 5, 6],
        [5, 6],
      ],
    ] as const) {
      const x = new nn.Reshape(from.slice(1))(zeros(from));
      expect(dense(view(tokens(x), to)).shape.at(-1)).toBe(2);
    }
  });
});

describe('the Keras CNN', () => {
  it('has the summary that Keras prints, with 167,562 parameters', () => {
    expect(kerasCNN().summary({ width: 76 })).toBe(`Model: "sequential"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ conv2d (Conv2D)                 │ (None, 30, 30, 32)     │           896 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ max_pooling2d (MaxPooling2D)    │ (None, 15, 15, 32)     │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ conv2d_1 (Conv2D)               │ (None, 13, 13, 64)     │        18,496 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ max_pooling2d_1 (MaxPooling2D)  │ (None, 6, 6, 64)       │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ flatten (Flatten)               │ (None, 2304)           │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense (Dense)                   │ (None, 64)             │       147,520 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense_1 (Dense)                 │ (None, 10)             │           650 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 167,562 (654.54 KB)
 Trainable params: 167,562 (654.54 KB)
 Non-trainable params: 0 (0.00 B)`);
  });

  it('fills the line, breaks what is too long, and refuses what leaves no room', () => {
    const model = kerasCNN();
    for (const width of [40, 88]) {
      const lines = model.summary({ width }).split('\n').slice(1, -3);
      expect(new Set(lines.map((line) => line.length))).toEqual(new Set([width]));
    }
    expect(model.summary({ width: 40 })).toContain(
      '│ max_pooling2d   │ (None, 15, │     0 │\n│ (MaxPooling2D)  │ 15, 32)    │',
    );
    expect(errorOf(() => model.summary({ width: 10 }))).toMatchObject({ code: 'ERR_VALUE' });
  });

  it('counts frozen parameters and running statistics as non-trainable', () => {
    const model = new nn.Sequential(
      layers.dense({ units: 300, inputShape: [9], trainable: false }),
      layers.batchNormalization(),
    );
    expect(model.summary()).toContain(' Trainable params: 600 (2.34 KB)');
    expect(model.summary()).toContain(' Non-trainable params: 3,600 (14.06 KB)');
  });

  it('shows what is not built yet', () => {
    const model = new nn.Sequential(layers.dense({ units: 3 }), layers.dense({ units: 2 }));
    expect(model.summary()).toContain('0 (unbuilt)');
    expect(model.built).toBe(false);
    expect(errorOf(() => model.parameters())).toMatchObject({
      code: 'ERR_STATE',
      message: /dense \(Dense\) has no weights/,
    });
    model.build([5]);
    expect(model.built).toBe(true);
    expect(model.summary()).toContain(' Total params: 26 (104.00 B)');
    expect(model.inputShapes).toEqual([[5]]);
  });

  it('names its weights', () => {
    expect([...kerasCNN().stateDict().keys()]).toEqual([
      'conv2d.weight',
      'conv2d.bias',
      'conv2d_1.weight',
      'conv2d_1.bias',
      'dense.weight',
      'dense.bias',
      'dense_1.weight',
      'dense_1.bias',
    ]);
  });

  it('reports the layer that does not fit, where it is added', () => {
    const model = new nn.Sequential(layers.conv2d({ filters: 4, kernelSize: 3, inputShape: [5, 5, 1] }));
    const error = errorOf(() => model.add(layers.conv2d({ filters: 4, kernelSize: 4 })));
    expect(error).toMatchObject({ code: 'ERR_SHAPE', message: /^Sequential\.conv2d_1 \(Conv2D\): conv2d: / });
    expect(model.length).toBe(1);
    model.add(layers.flatten());
    expect(model.outputShape([5, 5, 1])).toEqual([36]);
  });

  it('says which layer flattened images of another size', () => {
    expect(errorOf(() => kerasCNN()(zeros([2, 36, 36, 3]))).message).toBe(
      'Sequential.dense (Dense): got 3136 features, wanted 2304: Sequential.flatten (Flatten) made [2, 3136] of ' +
        '[2, 7, 7, 64], the output of Sequential.max_pooling2d_1 (MaxPooling2D)',
    );
  });

  it('gives its logits, without the softmax', () => {
    const data = new TestData();
    const model = kerasCNN().eval();
    const x = data.tensor([2, 32, 32, 3]);
    expect(model.finalActivation).toBe('softmax');
    expectClose(softmax(model.logits(x)), model(x).dataSync(), {}, `seed ${data.seed}`);
  });
});

describe('logits', () => {
  const data = new TestData();
  const x = data.tensor([2, 3]);

  it.each([
    ['a softmax layer', 'softmax', () => new nn.Sequential(new nn.Linear(3, 4), new nn.Softmax())],
    ['an activation layer', 'softmax', () => new nn.Sequential(new nn.Linear(3, 4), new nn.Activation('softmax'))],
    ['a nested model', 'softmax', () => new nn.Sequential(new nn.Sequential(new nn.Linear(3, 4), new nn.Softmax()))],
    ['a sigmoid layer', 'sigmoid', () => new nn.Sequential(new nn.Linear(3, 1), new nn.Sigmoid())],
    [
      'a sigmoid in a dense layer',
      'sigmoid',
      () => new nn.Sequential(layers.dense({ units: 1, activation: 'sigmoid' })),
    ],
  ] as const)('of %s', (_, activation, make) => {
    const model: nn.Sequential = make();
    model.build([3]);
    expect(model.finalActivation).toBe(activation);
    const again = new nn.Activation(activation);
    expectClose(again(model.logits(x)), model(x).dataSync(), {}, `seed ${data.seed}`);
  });

  it('are refused where there is no such activation', () => {
    const model = new nn.Sequential(new nn.Linear(3, 4), new nn.ReLU());
    expect(model.finalActivation).toBe(null);
    expect(errorOf(() => model.logits(x))).toMatchObject({ code: 'ERR_STATE' });
  });
});

describe('fusing an activation into the layer before it', () => {
  const data = new TestData();

  it('changes neither results nor gradients', () => {
    for (const make of [
      () => new nn.ReLU(),
      () => new nn.ReLU6(),
      () => new nn.Sigmoid(),
      () => new nn.Tanh(),
      () => new nn.Activation('relu'),
    ]) {
      const conv = new nn.Conv2d(2, 3, 3);
      const activation: nn.Module = make();
      const x = data.tensor([2, 5, 5, 2]);
      const fused: Tensor = new nn.Sequential(conv, activation)(x);
      const apart: Tensor = activation(conv(x));
      expectClose(fused, apart.dataSync(), { absolute: 1e-6 }, `seed ${data.seed}`);
      const upstream = data.tensor(fused.shape);
      fused.backward({ gradient: upstream });
      const gradient = conv.weight.grad!.dataSync();
      conv.zeroGrad();
      apart.backward({ gradient: upstream });
      expectClose(conv.weight.grad!, gradient, { absolute: 1e-5 }, `seed ${data.seed}`);
    }
  });

  it('gives way to hooks', () => {
    const model = new nn.Sequential(new nn.Linear(2, 2), new nn.ReLU());
    const shapes: unknown[] = [];
    for (const layer of model) layer.registerForwardHook((_, __, y) => shapes.push((y as Tensor).shape));
    model(zeros([3, 2]));
    expect(shapes).toEqual([
      [3, 2],
      [3, 2],
    ]);
  });
});

describe('freezing', () => {
  it('stops gradients, and the statistics of batch norm', () => {
    const model = new nn.Sequential(new nn.Linear(2, 3), new nn.BatchNorm2d(3), new nn.Linear(3, 1));
    const norm = model.at(1) as nn.BatchNorm2d;
    norm.trainable = false;
    (model.at(0) as nn.Linear).trainable = false;
    const data = new TestData();
    const x = data.tensor([4, 2], 5, 6);
    const y: Tensor = model(x);
    expectExact(norm.runningMean!, [0, 0, 0]);
    expectExact(norm.runningVar!, [1, 1, 1]);
    expectClose(y, model.eval()(x).dataSync());
    model.train();
    y.backward({ gradient: zeros([4, 1]) });
    expect(model.parameters().map(({ grad }) => grad !== null)).toEqual([false, false, false, false, true, true]);
    model.trainable = true;
    model(x);
    expect(norm.runningMean!.dataSync()).not.toEqual(new Float32Array(3));
  });
});
