import { describe, expect, it } from 'vitest';
import {
  add,
  layers,
  memory,
  mul,
  nn,
  noGrad,
  relu,
  relu6,
  sigmoid,
  silu,
  square,
  sum,
  tanh,
  tidy,
  type Tensor,
} from '../../lib';
import { commandsOf } from '../support/commands';
import { expectClose, expectExact } from '../support/compare';
import { TestData } from '../support/random';

const data = new TestData();

/** Gives every parameter and statistic a value of its own, as training would. */
function randomize<M extends nn.Module>(model: M): M {
  return tidy(() => {
    for (const [path, value] of model.stateDict()) {
      const range = path.endsWith('runningVar') ? ([0.3, 2] as const) : ([-0.6, 0.6] as const);
      value.assign(data.tensor(value.shape, ...range));
    }
    return model;
  });
}

/** Runs `body` while somebody reads what every layer returns, so that each computes by itself. */
function unfused<R>(model: nn.Module, body: () => R): R {
  const hooks = model.modules().map((module) =>
    module.registerForwardHook((_, inputs, output) => {
      for (const tensor of [...inputs.flat(), output] as Tensor[]) tensor.dataSync();
    }),
  );
  try {
    return body();
  } finally {
    for (const remove of hooks) remove();
  }
}

const predict = (model: nn.Module, x: Tensor): Float32Array =>
  tidy(() => noGrad(() => (model.call(x) as Tensor).dataSync()));

class BasicBlock extends nn.Module {
  conv1: nn.Conv2d;
  bn1: nn.BatchNorm2d;
  relu = new nn.ReLU();
  conv2: nn.Conv2d;
  bn2: nn.BatchNorm2d;
  downsample: nn.Sequential | null = null;

  constructor(inputs: number, width: number, stride: number) {
    super();
    this.conv1 = new nn.Conv2d(inputs, width, { kernelSize: 3, stride, padding: 1, bias: false });
    this.bn1 = new nn.BatchNorm2d(width);
    this.conv2 = new nn.Conv2d(width, width, { kernelSize: 3, padding: 1 });
    this.bn2 = new nn.BatchNorm2d(width);
    if (stride !== 1 || inputs !== width) {
      const conv = new nn.Conv2d(inputs, width, { kernelSize: 1, stride, bias: false });
      this.downsample = new nn.Sequential(conv, new nn.BatchNorm2d(width));
    }
  }

  forward(x: Tensor): Tensor {
    const identity = this.downsample ? this.downsample(x) : x;
    let y = this.relu(this.bn1(this.conv1(x)));
    y = this.bn2(this.conv2(y));
    return this.relu(add(y, identity));
  }
}

/** An inverted residual with squeeze and excitation. */
class MBConv extends nn.Module {
  expand = new nn.Conv2d(6, 24, { kernelSize: 1, bias: false });
  bn1 = new nn.BatchNorm2d(24);
  depthwise = new nn.DepthwiseConv2d(24, { kernelSize: 5, padding: 2, bias: false });
  bn2 = new nn.BatchNorm2d(24);
  pool = new nn.AdaptiveAvgPool2d(1);
  squeeze = new nn.Conv2d(24, 3, { kernelSize: 1 });
  excite = new nn.Conv2d(3, 24, { kernelSize: 1 });
  project = new nn.Conv2d(24, 6, { kernelSize: 1, bias: false });
  bn3 = new nn.BatchNorm2d(6);
  drop = new nn.Dropout(0.3);

  forward(x: Tensor): Tensor {
    let y = silu(this.bn1(this.expand(x)));
    y = silu(this.bn2(this.depthwise(y)));
    y = mul(y, sigmoid(this.excite(silu(this.squeeze(this.pool(y) as Tensor)))));
    return add(this.drop(this.bn3(this.project(y))), x);
  }
}

/** A generator's end and a dense head, functions instead of layers. */
class Mixed extends nn.Module {
  up = new nn.ConvTranspose2d(6, 5, { kernelSize: 3, stride: 2 });
  bn = new nn.BatchNorm2d(5, { affine: false });
  fc = new nn.Linear(5, 7, { bias: false });
  norm = new nn.BatchNorm2d(7);

  forward(x: Tensor): Tensor {
    const image = relu6(this.bn(this.up(x)));
    return tanh(this.norm(this.fc(image)));
  }
}

function graph(): nn.Graph<nn.SymbolicTensor> {
  const x = nn.input({ shape: [9, 8, 6] });
  const a = layers.batchNormalization()(layers.conv2d({ filters: 12, kernelSize: 3, padding: 'same' })(x));
  const b = layers.reLU()(a);
  const c = layers.batchNormalization()(layers.depthwiseConv2d({ kernelSize: 3, padding: 'same' })(b));
  return new nn.Graph({ inputs: x, outputs: layers.reLU()(layers.add()([c, b])) });
}

const sequential = (): nn.Sequential =>
  new nn.Sequential(
    new nn.Conv2d(6, 8, { kernelSize: 3 }),
    new nn.BatchNorm2d(8),
    new nn.SiLU(),
    new nn.Conv2d(8, 8, { kernelSize: 3, groups: 2 }),
    new nn.BatchNorm2d(8),
    new nn.Conv2d(8, 4, { kernelSize: 1 }),
    new nn.Sigmoid(),
  );

const models: [string, () => nn.Module, fusedCommands: number][] = [
  ['a basic block', () => new BasicBlock(6, 6, 1), 2],
  ['a basic block with a shortcut', () => new BasicBlock(6, 8, 2), 3],
  ['an MBConv block', () => new MBConv(), 7],
  ['transposed convolution and dense layer', () => new Mixed(), 2],
  ['a Sequential', sequential, 3],
  ['a Graph', graph, 2],
];

describe('inference', () => {
  it.each(models)('of %s computes the same in fewer commands', (_, make, commands) => {
    const model = randomize(make()).eval();
    const x = data.tensor([2, 9, 8, 6]);
    const expected = unfused(model, () => predict(model, x));
    const { tensors } = memory();
    expectClose(predict(model, x), expected, {}, `seed ${data.seed}`);
    const { bytes } = memory(); // with the folded weights
    expect(commandsOf(() => predict(model, x))).toBe(commands + 1); // one reads the result
    expect(memory()).toMatchObject({ tensors, bytes });
    model.dispose();
    x.dispose();
  });

  it('gives all memory back with the model', () => {
    const before = memory();
    const [model, x] = [randomize(new BasicBlock(6, 8, 2)).eval(), data.tensor([1, 9, 8, 6])];
    predict(model, x);
    model.dispose();
    x.dispose();
    expect(memory()).toMatchObject({ tensors: before.tensors, bytes: before.bytes });
  });

  it('follows every change of weights and statistics', () => {
    const model = randomize(new BasicBlock(6, 8, 2)).eval();
    const x = data.tensor([3, 9, 8, 6]);
    const check = (what: string): void => {
      const expected = unfused(model, () => predict(model, x));
      expectClose(predict(model, x), expected, {}, `${what}, seed ${data.seed}`);
    };
    check('at first');
    model.bn1.runningMean!.assign(data.tensor([8]));
    check('a mean');
    model.bn2.runningVar!.assign(data.tensor([8], 1, 3));
    check('a variance');
    noGrad(() => model.bn2.weight!.assign(data.tensor([8])));
    check('a scale');
    noGrad(() => model.conv2.bias!.assign(data.tensor([8])));
    check('a bias');
    noGrad(() => model.conv1.weight.assign(data.tensor([3, 3, 6, 8])));
    check('a weight');
    model.loadStateDict(randomize(new BasicBlock(6, 8, 2)).stateDict());
    check('loadStateDict');
    model.train();
    model(x).dispose();
    model.eval();
    check('statistics that training moved');
    model.bn1.weight = null;
    check('no scale any more');
    model.bn1.runningMean = new nn.Buffer(data.tensor([8]));
    check('another mean');
  });

  it('keeps folded weights until one of the tensors that they are made of is written or freed', () => {
    const conv = new nn.Conv2d(16, 16, { kernelSize: 3, bias: false });
    const norm = new nn.BatchNorm2d(16);
    const model = new nn.Sequential(conv, norm, new nn.ReLU()).eval();
    const x = data.tensor([1, 3, 3, 16]);
    const { bytes } = memory();
    predict(model, x);
    const folded = memory().bytes - bytes;
    expect(folded).toBeGreaterThanOrEqual(4 * 3 * 3 * 16 * 16);
    expect(commandsOf(() => predict(model, x))).toBe(2);
    expect(memory().bytes - bytes).toBe(folded);
    for (const written of [conv.weight, norm.weight!, norm.bias!, norm.runningMean!, norm.runningVar!]) {
      noGrad(() => written.assign(written));
      expect(memory().bytes).toBe(bytes);
      predict(model, x);
      expect(memory().bytes - bytes).toBe(folded);
    }
    norm.runningVar!.dispose();
    norm.runningVar = new nn.Buffer(data.tensor([16], 1, 2));
    expect(memory().bytes).toBe(bytes);
  });

  it('leaves the state as it is', () => {
    const model = randomize(new MBConv()).eval();
    const before = [...model.stateDict()].map(([path, value]) => [path, value.dataSync()] as const);
    predict(model, data.tensor([1, 9, 8, 6]));
    for (const [path, value] of before) expectExact(model.stateDict().get(path)!, value, path);
  });

  it('shows hooks what every layer computed', () => {
    const model = randomize(new BasicBlock(6, 6, 1)).eval();
    const x = data.tensor([1, 9, 8, 6]);
    const seen: Float32Array[] = [];
    const remove = model.conv1.registerForwardHook((_, __, y) => seen.push((y as Tensor).dataSync()));
    predict(model, x);
    remove();
    expectExact(
      noGrad(() => model.conv1(x)),
      seen[0]!,
    );
  });

  it('lets one weight have several batch norms after it', () => {
    const conv = randomize(new nn.Conv2d(4, 4, { kernelSize: 3 }));
    const norms = [randomize(new nn.BatchNorm2d(4)).eval(), randomize(new nn.BatchNorm2d(4)).eval()];
    const x = data.tensor([1, 6, 6, 4]);
    const values = (): Float32Array[] => norms.map((norm) => tidy(() => noGrad(() => norm(conv(x)).dataSync())));
    const y = noGrad(() => conv(x));
    y.dataSync();
    values().forEach((value, i) => expectClose(value, noGrad(() => norms[i]!(y)).dataSync()));
    expect(commandsOf(values)).toBe(4);
  });
});

describe('training', () => {
  class Small extends nn.Module {
    conv1 = new nn.Conv2d(6, 8, { kernelSize: 3 });
    conv2 = new nn.Conv2d(8, 8, { kernelSize: 3, padding: 1 });
    bn = new nn.BatchNorm2d(8);
    fc = new nn.Linear(8, 5);

    forward(x: Tensor): Tensor {
      const y = relu(this.conv1(x));
      return sigmoid(this.fc(silu(this.bn(add(this.conv2(y), y)))));
    }
  }

  /** Loss and gradients. */
  function gradients(model: nn.Module, x: Tensor): Float32Array[] {
    model.zeroGrad();
    const loss = tidy(() => sum(square(model.call(x) as Tensor)));
    loss.backward();
    return [loss.dataSync(), ...model.trainableParameters().map(({ grad }) => grad!.dataSync())];
  }

  it.each(['training', 'frozen statistics', 'inference'])('has the same gradients: %s', (mode) => {
    const model = randomize(new Small());
    if (mode === 'inference') model.eval();
    if (mode === 'frozen statistics') model.bn.trainable = false;
    const x = data.tensor([2, 7, 7, 6]);
    const expected = unfused(model, () => gradients(model, x));
    gradients(model, x).forEach((values, i) => expectExact(values, expected[i]!, `${i}, seed ${data.seed}`));
  });
});
