import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  add,
  dropout,
  keep,
  layers,
  losses,
  memory,
  mul,
  nn,
  optim,
  randomInt,
  randomUniform,
  relu,
  Sequential,
  setPrecision,
  setSeed,
  setThreads,
  deviceInfo,
  softmax,
  synchronize,
  tensor,
  tidy,
  Trainer,
  view,
  type FitOptions,
  type Tensor,
  type TrainerOptions,
} from '../../lib';
import { native } from '../../lib/native';
import type { LossFunction } from '../../lib/train/losses';
import { expectExact } from '../support/compare';

const threads = deviceInfo().threads;
const replays = vi.spyOn(native, 'replay');
afterEach(() => setThreads(threads));

function kerasCnn(): Sequential {
  return new Sequential([
    layers.conv2d({ filters: 8, kernelSize: 3, activation: 'relu', inputShape: [12, 12, 3] }),
    layers.maxPooling2d({ poolSize: 2 }),
    layers.conv2d({ filters: 16, kernelSize: 3, activation: 'relu' }),
    layers.flatten(),
    layers.dense({ units: 16, activation: 'relu' }),
    layers.dense({ units: 5, activation: 'softmax' }),
  ]);
}

function normalized(): Sequential {
  return new Sequential([
    layers.conv2d({ filters: 8, kernelSize: 3, inputShape: [12, 12, 3] }),
    layers.batchNormalization(),
    layers.activation({ activation: 'relu' }),
    layers.spatialDropout2d({ rate: 0.2 }),
    layers.globalAveragePooling2d(),
    layers.dropout({ rate: 0.3 }),
    layers.dense({ units: 5 }),
  ]);
}

class SimpleCNN extends nn.Module {
  conv1 = new nn.Conv2d(3, 8, { kernelSize: 3, padding: 1 });
  pool = new nn.MaxPool2d(2);
  fc = new nn.Linear(8 * 6 * 6, 5);

  forward(x: Tensor): Tensor {
    return softmax(this.fc(view(this.pool(relu(this.conv1(x))), [-1, 8 * 6 * 6])));
  }
}

/** Does something else every time: it counts, rolls dice, and reads what is outside. */
const outside = { scale: 1 };
class Moody extends SimpleCNN {
  private calls = 0;

  override forward(x: Tensor): Tensor {
    let y = relu(this.conv1(x));
    if (this.training && this.calls++ % 5 === 4) y = mul(y, 0.5);
    if (this.training && this.calls % 3 === 0) y = dropout(y, 0.1 * (this.calls % 2) + 0.1);
    y = mul(this.pool(y), outside.scale);
    return softmax(this.fc(view(y, [-1, 8 * 6 * 6])));
  }
}

interface Problem {
  model: () => nn.Module;
  compile?: () => Partial<TrainerOptions>;
  fit?: (trainer: Trainer) => Partial<FitOptions>;
  /** Whether nothing keeps steps from being replayed. */
  replays?: boolean;
}

const problems: Record<string, Problem> = {
  'the Keras CNN': { model: kerasCnn, replays: true },
  'the Keras CNN, evaluated after every epoch': {
    model: kerasCnn,
    compile: () => ({ metrics: ['accuracy', 'topK'] }),
    fit: () => ({ validationSplit: 0.25 }),
    replays: true,
  },
  SimpleCNN: { model: () => new SimpleCNN(), replays: true },
  'batch norm, dropout and clipping': {
    model: normalized,
    compile: () => ({ clipNorm: 0.5, loss: 'crossEntropy', optimizer: { name: 'sgd', momentum: 0.9 } }),
    replays: true,
  },
  'class weights, a schedule, and rates that a callback changes': {
    model: kerasCnn,
    compile: () => ({ optimizer: 'rmsprop' }),
    fit: () => ({
      classWeight: { 1: 3, 4: 0.5 },
      schedule: (optimizer) => new optim.StepLR(optimizer, { stepSize: 3 }),
      scheduleBy: 'step',
    }),
    replays: true,
  },
  'layers that are frozen and thawed on the way': {
    model: normalized,
    compile: () => ({ loss: 'crossEntropy' }),
    fit: (trainer) => ({
      callbacks: [
        {
          onEpochEnd: (epoch: number) => {
            const layer = (trainer.model as Sequential).at(epoch % 2)!;
            layer.trainable = !layer.trainable;
          },
        },
      ],
    }),
    replays: true,
  },
  'an optimizer whose options and state change on the way': {
    model: kerasCnn,
    compile: () => ({ optimizer: (parameters) => new optim.AdamW(parameters, { weightDecay: 0.1 }) }),
    fit: (trainer) => ({
      callbacks: [
        {
          onEpochEnd: () => {
            const { optimizer } = trainer;
            (optimizer.groups[0]!.options as unknown as { weightDecay: number }).weightDecay *= 0.5;
            tidy(() => {
              const copies = Array.from(optimizer.stateDict(), ([key, value]) => [key, value.detach()] as const);
              const halved = copies.map(([key, value]) => [
                key,
                key.endsWith('mean') ? mul(value as Tensor, 0.5) : value,
              ]);
              optimizer.loadStateDict(Object.fromEntries(halved) as Record<string, Tensor>);
            });
          },
        },
      ],
    }),
    replays: true,
  },
  'a module that does something else every time': {
    model: () => new Moody(),
    fit: () => ({
      callbacks: [{ onBatchEnd: (batch: number) => void (outside.scale = 1 + (batch > 4 ? 0.5 : 0)) }],
    }),
  },
  'a loss that changes with time': {
    model: normalized,
    compile: () => {
      let steps = 0;
      const inner = losses.crossEntropy();
      const loss: LossFunction = (...args) => mul(inner.compute(...args), steps++ < 7 ? 1 : 0.25);
      return { loss };
    },
  },
  "an optimizer of one's own that counts": {
    model: kerasCnn,
    compile: () => {
      class Counting extends optim.SGD {
        private count = 0;
        override step(): void {
          this.count += 1;
          if (this.count % 2 === 0) this.lr = 0.01 / this.count;
          super.step();
        }
      }
      return { optimizer: (parameters) => new Counting(parameters, { lr: 0.01 }) };
    },
  },
  'a module that keeps what it computed': {
    model: () => {
      class Keeping extends SimpleCNN {
        last: Tensor | null = null;
        override forward(x: Tensor): Tensor {
          const y = super.forward(x);
          this.last?.dispose();
          this.last = keep(add(y.detach(), 1));
          return y;
        }
      }
      return new Keeping();
    },
  },
  'several threads, another number of them later': {
    model: kerasCnn,
    fit: () => ({ callbacks: [{ onEpochEnd: (epoch: number) => setThreads(1 + (epoch % 3)) }] }),
    replays: true,
  },
};

/** All that training leaves: logs, weights, optimizer's state, and predictions. */
async function trained({ model: make, compile, fit }: Problem, capture: boolean): Promise<Record<string, unknown>> {
  setSeed(5);
  outside.scale = 1;
  const model = make();
  const trainer = new Trainer(model, {
    optimizer: 'adam',
    loss: 'sparseCategoricalCrossentropy',
    ...compile?.(),
    capture,
  });
  const [images, labels] = [randomUniform([50, 12, 12, 3]), randomInt([50], 0, 5)];
  // Six batches and a rest.
  const history = await trainer.fit(images, labels, { epochs: 5, batchSize: 8, verbose: 0, ...fit?.(trainer) });
  const result: Record<string, unknown> = { logs: history.history, evaluated: await trainer.evaluate(images, labels) };
  for (const batchSize of [8, 50, 50, 50, 8]) {
    using output = await trainer.predict(images, { batchSize });
    result[`predicted ${batchSize}`] = await output.data();
  }
  for (const [name, value] of [...model.stateDict(), ...trainer.optimizer.stateDict()]) {
    result[name] = await value.data();
  }
  for (const used of [images, labels, model, trainer.optimizer]) used.dispose();
  return result;
}

describe('training and prediction give the same bits with capture and without', () => {
  test.each(Object.keys(problems))('%s', async (name) => {
    const problem = problems[name]!;
    const eager = await trained(problem, false);
    replays.mockClear();
    const captured = await trained(problem, true);
    if (problem.replays) expect(replays.mock.calls.length).toBeGreaterThan(15);
    expect(captured).toEqual(eager);
  });
});

describe('steps are replayed', () => {
  const data = (count = 8) => [randomUniform([count, 12, 12, 3]), randomInt([count], 0, 5)] as const;
  const make = (options: Partial<TrainerOptions> = {}): Trainer =>
    new Trainer(kerasCnn(), { optimizer: 'adam', loss: 'sparseCategoricalCrossentropy', ...options });

  test('from the fourth on, and not with capture: false', async () => {
    const [x, y] = data();
    for (const [capture, wanted] of [
      [true, [0, 0, 0, 1, 1, 1]],
      [false, [0, 0, 0, 0, 0, 0]],
    ] as const) {
      const trainer = make({ capture });
      for (const count of wanted) {
        replays.mockClear();
        await trainer.trainOnBatch(x, y);
        expect(replays).toHaveBeenCalledTimes(count);
      }
      for (const used of [trainer.model, trainer.optimizer]) used.dispose();
    }
    for (const used of [x, y]) used.dispose();
  });

  test('unless a hook watches, which sees every forward pass', async () => {
    const [x, y] = data();
    const trainer = make();
    for (let i = 0; i < 6; i++) await trainer.trainOnBatch(x, y);
    let calls = 0;
    const remove = (trainer.model as Sequential).at(0)!.registerForwardHook(() => (calls += 1));
    for (let i = 1; i <= 6; i++) {
      await trainer.trainOnBatch(x, y);
      (await trainer.predict(x)).dispose();
      expect(calls).toBe(2 * i);
    }
    remove();
    replays.mockClear();
    for (let i = 0; i < 6; i++) await trainer.trainOnBatch(x, y);
    expect(calls).toBe(12);
    expect(replays).toHaveBeenCalled();
    for (const used of [x, y, trainer.model, trainer.optimizer]) used.dispose();
  });

  test('with the weights that are there: after assign, after loadStateDict, after another layer', async () => {
    const [x, y] = data();
    const trainer = make();
    const model = trainer.model as Sequential;
    const check = async (): Promise<void> => {
      for (let i = 0; i < 4; i++) {
        using found = await trainer.predict(x);
        using wanted = await trainer.predict(x, { capture: false });
        expect(await found.data()).toEqual(await wanted.data());
      }
    };
    await check();
    tidy(() => model.parameters()[0]!.assign(mul(model.parameters()[0]!.detach(), 2)));
    await check();
    const other = kerasCnn();
    model.loadStateDict(other.stateDict());
    await check();
    for (let i = 0; i < 6; i++) {
      await trainer.trainOnBatch(x, y);
      await check();
    }
    const layer = model.at(0) as nn.Conv2d;
    layer.weight = new nn.Parameter(randomUniform(layer.weight!.shape));
    await check();
    model.add(new nn.Linear(5, 5));
    await check();
    for (const used of [x, y, model, other, trainer.optimizer]) used.dispose();
  });

  test('and follow the precision', async () => {
    const model = new Sequential([
      layers.conv2d({ filters: 64, kernelSize: 3, padding: 'same', inputShape: [16, 16, 64] }),
    ]);
    const x = randomUniform([4, 16, 16, 64]);
    const captured = new Trainer(model, { optimizer: 'sgd', loss: 'mse' });
    const eager = new Trainer(model, { optimizer: 'sgd', loss: 'mse', capture: false });
    const predicted = async (trainer: Trainer): Promise<Float32Array> => (await trainer.predict(x)).data();
    try {
      const results: Float32Array[] = [];
      for (const precision of ['high', 'highest', 'high'] as const) {
        setPrecision(precision);
        const wanted = await predicted(eager);
        for (let i = 0; i < 4; i++) expectExact(await predicted(captured), wanted, precision);
        results.push(wanted);
      }
      expect(results[0]!.some((value, i) => value !== results[1]![i])).toBe(true); // another algorithm
    } finally {
      setPrecision('high');
    }
  });

  test('and leave nothing behind, neither running nor when the model is disposed', async () => {
    setSeed(1); // the shared generator is there from now on
    // What an earlier test left to the garbage collector may go meanwhile: there may be less, but not more.
    const expectNoMore = (before: Pick<ReturnType<typeof memory>, 'tensors' | 'bytes' | 'blocks'>): void => {
      const now = memory();
      for (const count of ['tensors', 'bytes', 'blocks'] as const)
        expect(now[count]).toBeLessThanOrEqual(before[count]);
    };
    await synchronize();
    const start = memory();
    const [x, y] = data();
    const trainer = make({ metrics: ['accuracy'] });
    const work = async (): Promise<void> => {
      await trainer.trainOnBatch(x, y);
      await trainer.testOnBatch(x, y);
      (await trainer.predict(x)).dispose();
    };
    for (let i = 0; i < 6; i++) await work();
    await synchronize();
    const { tensors, bytes, blocks } = memory();
    replays.mockClear();
    for (let i = 0; i < 300; i++) await work();
    expect(replays).toHaveBeenCalledTimes(900);
    await synchronize();
    expectNoMore({ tensors, bytes, blocks });
    for (const used of [x, y, trainer.model, trainer.optimizer]) used.dispose();
    expectNoMore(start);
  });

  test('and report disposed models and labels out of range as ever', async () => {
    const [x, y] = data();
    const trainer = make();
    for (let i = 0; i < 6; i++) await trainer.trainOnBatch(x, y);
    const weights = await trainer.model.parameters()[0]!.data();
    await expect(
      trainer.fit(() => [{ x: x.detach(), y: tensor(Int32Array.from([0, 1, 2, 3, 4, 5, 0, 1])) }], { verbose: 0 }),
    ).rejects.toThrow(/step 0: .*5/);
    expect(await trainer.model.parameters()[0]!.data()).toEqual(weights);
    await trainer.trainOnBatch(x, y);
    trainer.model.dispose();
    await expect(trainer.trainOnBatch(x, y)).rejects.toThrow(/disposed/);
    await expect(trainer.predict(x)).rejects.toThrow(/disposed/);
    for (const used of [x, y, trainer.optimizer]) used.dispose();
  });
});
