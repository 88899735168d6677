import { describe, expect, it } from 'vitest';
import * as cg from '../../lib';
import { keep, memory, optim, tensor, tidy, type Tensor } from '../../lib';
import { loadCases, typedData } from '../fixtures/load';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { withThreadCounts } from '../support/isas';
import { TestData } from '../support/random';

const data = new TestData();
const context = `seed ${data.seed}`;

function parameter(values: Tensor): Tensor {
  values.requiresGrad = true;
  return values;
}

function give(parameter: Tensor, gradient: Tensor): void {
  parameter.grad?.dispose();
  parameter.grad = keep(gradient);
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the options are those of the fixture
const make: Record<string, (parameters: Tensor[], options: any) => optim.Optimizer<{ lr: number }>> = {
  sgd: (parameters, options) => new optim.SGD(parameters, options),
  adam: (parameters, options) => new optim.Adam(parameters, options),
  adamw: (parameters, options) => new optim.AdamW(parameters, options),
  rmsprop: (parameters, options) => new optim.RMSprop(parameters, options),
  'keras-adam': (parameters, options) => new optim.Adam(parameters, { ...options, kerasEpsilon: true }),
  'keras-rmsprop': (parameters, options) => new optim.RMSprop(parameters, { ...options, kerasEpsilon: true }),
};

describe('optimizers', () => {
  const cases = loadCases('optim').filter(({ op }) => op in make);

  it.each(cases.map((c) => [c.name, c] as const))('%s steps as PyTorch (or Keras) does', (_, c) => {
    const gradients = typedData(c.inputs['gradients']!);
    const expected = typedData(c.outputs['parameters']!);
    const [steps, size] = c.inputs['gradients']!.shape as [number, number];
    const p = parameter(tensor(typedData(c.inputs['parameter']!) as Float32Array));
    const optimizer = make[c.op]!([p], c.config);
    for (let step = 0; step < steps; step++) {
      give(p, tensor(gradients.slice(step * size, (step + 1) * size) as Float32Array));
      optimizer.step();
      expectClose(p, expected.slice(step * size, (step + 1) * size), { relative: 1e-6 }, `step ${step}`);
    }
  });

  /** The same formulas in float64, over parameters of many sizes at once. */
  it.each([
    ['sgd', { lr: 0.1, momentum: 0.9, dampening: 0.5, weightDecay: 0.01 }],
    ['adam', { lr: 0.01, weightDecay: 0.01 }],
    ['adamw', { lr: 0.01, weightDecay: 0.1 }],
    ['rmsprop', { lr: 0.01, momentum: 0.5, centered: true }],
  ])('%s treats every element of every parameter alike, for any number of threads', (name, options) => {
    const shapes = [[1], [3, 5], [40001], [16384], [2, 7, 9]];
    const values = shapes.map((shape) => data.tensor(shape));
    const gradients = [0, 1, 2].map(() => shapes.map((shape) => data.tensor(shape)));
    const run = (chosen: (list: Tensor[]) => Tensor[]) => {
      const ps = chosen(values).map((value) => parameter(cg.add(value, 0)));
      const optimizer = make[name]!(ps, options);
      for (const round of gradients) {
        chosen(round).forEach((gradient, i) => give(ps[i]!, cg.add(gradient, 0)));
        optimizer.step();
      }
      return ps.map((p) => p.dataSync());
    };
    const [one, ...others] = withThreadCounts(() => run((list) => list));
    for (const other of others) other.forEach((p, i) => expectExact(p, one![i]!, context));
    // One by one, and element by element in parameters of size 1.
    one!.forEach((p, i) => expectExact(run((list) => [list[i]!])[0]!, p, context));
    const element = data.integer(0, 40000);
    const single = run((list) => [cg.slice(list[2]!, [element], [1])]);
    expectClose(single[0]!, [one![2]![element]!], { relative: 1e-6 }, context);
  });

  it('begin the momentum with the gradient itself, whatever the dampening', () => {
    const p = parameter(tensor([1]));
    const optimizer = new optim.SGD([p], { lr: 1, momentum: 0.5, dampening: 0.75 });
    for (const expected of [0.5, 0.5 - (0.25 + 0.125)]) {
      give(p, tensor([0.5]));
      optimizer.step();
      expectExact(p, [expected]);
    }
  });

  it('leave alone what is frozen or has no gradient, and count its steps from when it trains', () => {
    const [a, frozen, late] = [1, 2, 3].map((value) => parameter(tensor([value])));
    frozen!.requiresGrad = false;
    const optimizer = new optim.Adam([a!, frozen!, late!], { lr: 0.1 });
    give(frozen!, tensor([1]));
    for (let i = 0; i < 5; i++) {
      give(a!, tensor([1]));
      optimizer.step();
    }
    expectExact(frozen!, [2]);
    expectExact(late!, [3]);
    give(late!, tensor([1]));
    optimizer.step();
    // The first step of Adam is lr in the direction of the gradient.
    expectClose(late!, [2.9], { relative: 1e-6 });
    expect([...optimizer.stateDict().keys()]).toEqual([
      'group0.lr', '0.mean', '0.square', '0.step', '2.mean', '2.square', '2.step',
    ]); // prettier-ignore
  });

  it('take groups with options of their own, and a learning rate that changes', () => {
    const [a, b] = [parameter(tensor([1])), parameter(tensor([1]))];
    const optimizer = new optim.SGD([{ params: [a] }, { params: [b], lr: 0.5, momentum: 0.9 }], { lr: 0.25 });
    const step = () => {
      for (const p of [a, b]) give(p, tensor([1]));
      optimizer.step();
    };
    step();
    expectExact(a, [0.75]);
    expectExact(b, [0.5]);
    expect(optimizer.lr).toBe(0.25);
    optimizer.lr = 0;
    expect(optimizer.groups.map((group) => group.lr)).toEqual([0, 0]);
    step();
    expectExact(a, [0.75]);
    expectExact(b, [0.5]);
  });

  it('save and load their state', () => {
    const gradients = [0, 1, 2, 3].map(() => [data.tensor([4]), data.tensor([2, 3])]);
    const start = () => [parameter(cg.full([4], 1)), parameter(cg.full([2, 3], 1))] as const;
    const named = ([a, b]: readonly [Tensor, Tensor]) => Object.entries({ 'conv.weight': a, bias: b });
    const train = (ps: readonly Tensor[], optimizer: optim.Optimizer, rounds: Tensor[][]) => {
      for (const round of rounds) {
        round.forEach((gradient, i) => give(ps[i]!, cg.add(gradient, 0)));
        optimizer.step();
      }
    };
    const whole = start();
    const first = new optim.Adam(named(whole), { lr: 0.1 });
    train(whole, first, gradients.slice(0, 2));
    const other = whole.map((p) => parameter(cg.add(p.detach(), 0))) as [Tensor, Tensor];
    const second = new optim.Adam(named(other), { lr: 0.7 });
    second.loadStateDict(first.stateDict());
    expect(second.lr).toBeCloseTo(0.1);
    expect(first.stateDict().get('conv.weight.step')!.dataSync()[0]).toBe(2);
    train(whole, first, gradients.slice(2));
    train(other, second, gradients.slice(2));
    whole.forEach((p, i) => expectExact(other[i]!, p.dataSync(), context));

    expect(errorOf(() => second.loadStateDict({ 'fc.mean': tensor([1]) }))).toMatchObject({
      code: 'ERR_VALUE',
      message: 'loadStateDict: fc.mean belongs to no parameter of this optimizer',
    });
    expect(errorOf(() => second.loadStateDict({ 'bias.mean': tensor([1]) }))).toMatchObject({
      code: 'ERR_VALUE',
      message: 'loadStateDict: bias.mean is float32 [1], wanted float32 [2, 3]',
    });
  });

  it('keep their state through tidy, and give every byte back', () => {
    const before = memory();
    const p = parameter(tensor([1, 2]));
    const optimizer = new optim.Adam([p]);
    tidy(() => {
      give(p, tensor([1, 1]));
      optimizer.step();
    });
    tidy(() => optimizer.step());
    optimizer.zeroGrad();
    expect(p.grad).toBeNull();
    optimizer.step();
    expectExact(optimizer.stateDict().get('0.step')!, [2]);
    optimizer.dispose();
    p.dispose();
    expect(memory()).toMatchObject({ tensors: before.tensors, blocks: before.blocks });
  });

  it('refuse options that make no sense', () => {
    const p = parameter(tensor([1]));
    const wrong: (() => unknown)[] = [
      () => new optim.SGD([], { lr: 1 }),
      () => new optim.SGD([p, p], { lr: 1 }),
      () => new optim.SGD(new cg.nn.Linear(1, 1) as never, { lr: 1 }), // the module, not its parameters
      () => new optim.SGD(new cg.nn.Sequential(new cg.nn.Linear(1, 1)) as never, { lr: 1 }), // a list of modules
      () => new optim.SGD(undefined as never, { lr: 1 }),
      () => new optim.SGD([null] as never, { lr: 1 }),
      () => new optim.SGD([p], { lr: -1 }),
      () => new optim.SGD([p], { lr: NaN }),
      () => new optim.SGD([p], { lr: 1, momentum: -1 }),
      () => new optim.SGD([p], { lr: 1, nesterov: true }),
      () => new optim.Adam([p], { betas: [1, 0.9] }),
      () => new optim.Adam([{ params: [p], betas: [0.9, 2] }]),
      () => new optim.AdamW([p], { eps: -1 }),
      () => new optim.RMSprop([p], { alpha: 1 }),
      () => (new optim.Adam([p]).lr = Infinity),
    ];
    for (const body of wrong) expect(errorOf(body), String(body)).toMatchObject({ code: 'ERR_VALUE' });
  });
});

describe('clipGradNorm', () => {
  it.each(loadCases('optim', 'clipGradNorm').map((c) => [c.name, c] as const))('%s as PyTorch does', (_, c) => {
    const names = Object.keys(c.inputs);
    const ps = names.map((name) => {
      const p = parameter(cg.zeros(c.inputs[name]!.shape));
      give(p, tensor(typedData(c.inputs[name]!) as Float32Array, c.inputs[name]!.shape));
      return p;
    });
    const norm = optim.clipGradNorm(ps, c.config['maxNorm'] as number);
    expectClose(norm, typedData(c.outputs['norm']!), { relative: 1e-6 });
    ps.forEach((p, i) => expectClose(p.grad!, typedData(c.outputs[names[i]!]!), { relative: 1e-6 }));
  });

  it('gives the same numbers for any number of threads', () => {
    const gradients = [[50000], [7], [30, 1000]].map((shape) => data.tensor(shape));
    const run = () => {
      const ps = gradients.map((gradient) => parameter(cg.zeros(gradient.shape)));
      ps.forEach((p, i) => give(p, cg.add(gradients[i]!, 0)));
      const norm = optim.clipGradNorm(ps, 1).dataSync();
      return [norm, ...ps.map((p) => p.grad!.dataSync())];
    };
    const [one, ...others] = withThreadCounts(run);
    for (const other of others) other.forEach((values, i) => expectExact(values, one![i]!, context));
  });

  it('scales memory that two gradients share only once', () => {
    const [a, b] = [parameter(tensor([0])), parameter(tensor([0]))];
    cg.add(a, b).backward({ gradient: tensor([3]) });
    expectClose(optim.clipGradNorm([a, b], 1), [Math.sqrt(18)]);
    for (const p of [a, b]) expectClose(p.grad!, [Math.SQRT1_2], { relative: 1e-6 });
  });

  it('skips parameters without a gradient, but wants one at least', () => {
    const p = parameter(tensor([1]));
    expect(errorOf(() => optim.clipGradNorm([p], 1))).toMatchObject({ code: 'ERR_VALUE' });
    give(p, tensor([2]));
    expectExact(optim.clipGradNorm([parameter(tensor([1])), p], 5), [2]);
    expect(errorOf(() => optim.clipGradNorm([p], 0))).toMatchObject({ code: 'ERR_VALUE' });
  });
});

describe('clipGradValue', () => {
  it('limits every element', () => {
    const values = data.floats(1001, -2, 2);
    const p = parameter(cg.zeros([1001]));
    give(p, tensor(values.slice()));
    optim.clipGradValue([p], 0.5);
    expectExact(p.grad!, values.map((v) => Math.min(Math.max(v, -0.5), 0.5)), context); // prettier-ignore
    give(p, tensor(new Float32Array(1001).fill(NaN)));
    optim.clipGradValue([p], 0.5);
    expect(p.grad!.dataSync()[0]).toBeNaN();
    expect(errorOf(() => optim.clipGradValue([p], -1))).toMatchObject({ code: 'ERR_VALUE' });
  });
});
