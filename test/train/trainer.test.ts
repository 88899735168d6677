import { describe, expect, test } from 'vitest';
import {
  crossEntropy,
  max,
  memory,
  nn,
  optim,
  scalar,
  setSeed,
  setThreads,
  synchronize,
  tensor,
  type History,
  type Tensor,
} from '../../lib';
import type { FitOptions, TrainerOptions } from '../../lib/train/options';
import { Trainer } from '../../lib/train/trainer';
import type { Callback } from '../../lib/train/callback';
import { sparseCategoricalCrossentropy } from '../../lib/train/losses';
import { errorOf, expectClose } from '../support/compare';
import { rejectionOf } from '../support/files';
import { TestData } from '../support/random';

const [samples, features, classes] = [96, 5, 3];
const data = new TestData(42);
/** Points around the corners of a simplex: easy to tell apart. */
const labels = Int32Array.from({ length: samples }, () => data.integer(0, classes - 1));
const points = {
  data: Float32Array.from(
    { length: samples * features },
    (_, i) => data.next() - 0.5 + (i % features === labels[Math.floor(i / features)] ? 2 : 0),
  ),
  shape: [samples, features],
};

function makeModel({ dropout = 0, softmax = false } = {}): nn.Sequential {
  return new nn.Sequential(
    new nn.Linear(features, 8),
    new nn.ReLU(),
    new nn.Dropout(dropout),
    new nn.Linear(8, classes),
    ...(softmax ? [new nn.Softmax()] : []),
  );
}

const adam = { name: 'adam', learningRate: 0.02 };

function makeTrainer(options: Partial<TrainerOptions> = {}, model: nn.Module = makeModel()): Trainer {
  return new Trainer(model, { optimizer: adam, loss: 'crossEntropy', metrics: ['accuracy'], ...options });
}

async function weightsOf(model: nn.Module): Promise<number[]> {
  const values = await Promise.all(Array.from(model.stateDict().values(), (weight) => weight.data()));
  return values.flatMap((value) => [...value]);
}

const quiet: FitOptions = { verbose: 0 };

describe('fit', () => {
  test('learns, and says how in the history', async () => {
    setSeed(1);
    const trainer = makeTrainer();
    const history = await trainer.fit(points, labels, { ...quiet, epochs: 20, validationSplit: 0.25 });
    expect(history.epoch).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(Object.keys(history.history)).toEqual(['loss', 'accuracy', 'val_loss', 'val_accuracy']);
    for (const values of Object.values(history.history)) expect(values).toHaveLength(20);
    expect(history.history['accuracy']!.at(-1)).toBeGreaterThan(0.95);
    expect(history.history['val_accuracy']!.at(-1)).toBeGreaterThan(0.9);
    expect(history.params).toEqual({ epochs: 20, steps: 3, batchSize: 32 });
    expect(history).toMatchObject({ aborted: false, stopReason: undefined });
    expect(await trainer.evaluate(points, labels)).toEqual(
      expect.objectContaining({ accuracy: expect.any(Number) as number, loss: expect.any(Number) as number }),
    );
  });

  test('the same seed gives the same run, bit for bit, for any number of threads', async () => {
    const runs: number[][] = [];
    for (const threads of [1, 2, 5]) {
      setThreads(threads);
      setSeed(3);
      const trainer = makeTrainer({}, makeModel({ dropout: 0.3 }));
      const { history } = await trainer.fit(points, labels, { ...quiet, epochs: 3, batchSize: 7 });
      runs.push([...history['loss']!, ...(await weightsOf(trainer.model))]);
    }
    setThreads(2);
    expect(runs[1]).toEqual(runs[0]);
    expect(runs[2]).toEqual(runs[0]);
    setSeed(4);
    const other = await makeTrainer().fit(points, labels, { ...quiet, epochs: 3, batchSize: 7 });
    expect(other.history['loss']).not.toEqual(runs[0]!.slice(0, 3));
  });

  test('tensors, typed arrays, nested arrays and data sets of the same batches train alike', async () => {
    using x = tensor(points.data, points.shape);
    using y = tensor(labels);
    const batches = async function* () {
      for (let begin = 0; begin < samples; begin += 32) {
        const end = begin + 32;
        yield [
          tensor(points.data.slice(begin * features, end * features), [32, features]),
          tensor(labels.slice(begin, end)),
        ] as [Tensor, Tensor<'int32'>];
      }
    };
    const nested = Array.from({ length: samples }, (_, i) => [
      ...points.data.subarray(i * features, (i + 1) * features),
    ]);
    const results: number[][] = [];
    const options = { ...quiet, epochs: 2, shuffle: false };
    const runs: ((trainer: Trainer) => Promise<History>)[] = [
      (trainer) => trainer.fit(points, labels, options),
      (trainer) => trainer.fit(x, y, options),
      (trainer) => trainer.fit(nested, [...labels], options),
      (trainer) => trainer.fit(batches, options),
    ];
    for (const run of runs) {
      setSeed(5);
      results.push((await run(makeTrainer())).history['loss']!);
    }
    for (const result of results) expect(result).toEqual(results[0]);
  });

  test('validation data are the last samples, before shuffling, and are evaluated in inference mode', async () => {
    setSeed(6);
    const trainer = makeTrainer({}, makeModel({ dropout: 0.5 }));
    const tail = 24;
    const { history } = await trainer.fit(points, labels, { ...quiet, validationSplit: 0.25, epochs: 2 });
    const x = { data: points.data.slice(-tail * features), shape: [tail, features] };
    const logs = await trainer.evaluate(x, labels.slice(-tail));
    expect(logs).toEqual({ loss: history['val_loss']![1], accuracy: history['val_accuracy']![1] });
    const pair = await trainer.fit(points, labels, { ...quiet, validationData: [x, labels.slice(-tail)] });
    expect(Object.keys(pair.history)).toContain('val_loss');
  });

  test('the loss of an epoch is the mean over its samples, also when the last batch is small', async () => {
    const trainer = makeTrainer({ optimizer: { name: 'sgd', learningRate: 0 }, metrics: ['crossEntropy', 'accuracy'] });
    const { history } = await trainer.fit(points, labels, { ...quiet, batchSize: 36 });
    const whole = await trainer.testOnBatch(points, labels);
    expect(history['loss']![0]).toBeCloseTo(whole['loss']!, 6);
    expect(history['crossEntropy']![0]).toBeCloseTo(whole['loss']!, 6);
    expect(history['accuracy']![0]).toBe(whole['accuracy']);
  });

  test('stepsPerEpoch goes on in the data where the epoch before ended', async () => {
    const seen: number[] = [];
    const batches = function* () {
      for (let i = 0; i < 3; i++) {
        seen.push(i);
        yield [tensor(points.data.slice(0, features), [1, features]), tensor(labels.slice(0, 1))] as [
          Tensor,
          Tensor<'int32'>,
        ];
      }
    };
    const before = memory().tensors;
    const trainer = makeTrainer();
    const { history } = await trainer.fit(batches, { ...quiet, epochs: 2, stepsPerEpoch: 4 });
    expect(history['loss']).toHaveLength(2);
    expect(seen).toEqual([0, 1, 2, 0, 1, 2, 0, 1]);
    trainer.optimizer.dispose();
    trainer.model.dispose();
    expect(memory().tensors).toBeLessThanOrEqual(before);
  });

  test('initialEpoch counts on', async () => {
    const epochs: number[] = [];
    const callback: Callback = { onEpochBegin: (epoch) => void epochs.push(epoch) };
    const history = await makeTrainer().fit(points, labels, {
      ...quiet,
      initialEpoch: 3,
      epochs: 5,
      callbacks: [callback],
    });
    expect(epochs).toEqual([3, 4]);
    expect(history.epoch).toEqual([3, 4]);
  });
});

describe('weights of samples and classes', () => {
  test('a loss is the weighted sum over the number of samples, as in Keras', async () => {
    const trainer = makeTrainer({ optimizer: { name: 'sgd', learningRate: 0 } });
    const single = async (i: number) => {
      const x = { data: points.data.slice(i * features, (i + 1) * features), shape: [1, features] };
      return (await trainer.testOnBatch(x, labels.slice(i, i + 1)))['loss']!;
    };
    const some = { data: points.data.slice(0, 4 * features), shape: [4, features] };
    const own = labels.slice(0, 4);
    const losses = await Promise.all([0, 1, 2, 3].map(single));
    const weight = (label: number, i: number) => (label === 1 ? 5 : 1) * [1, 2, 0, 0.5][i]!;
    const expected = losses.reduce((sum, loss, i) => sum + (loss * weight(own[i]!, i)) / 4, 0);
    const options = { classWeight: { 1: 5 }, sampleWeight: [1, 2, 0, 0.5] };
    expect((await trainer.trainOnBatch(some, own, options))['loss']).toBeCloseTo(expected, 5);
    const { history } = await trainer.fit(some, own, { ...quiet, ...options });
    expect(history['loss']![0]).toBeCloseTo(expected, 5);
  });
});

describe('a model that ends in a softmax', () => {
  test('is trained as from its logits, and metrics see probabilities', async () => {
    const [plain, ending] = [makeModel(), makeModel({ softmax: true })];
    ending.loadStateDict(plain.stateDict());
    const logits = makeTrainer({ loss: sparseCategoricalCrossentropy({ fromLogits: true }) }, plain);
    const probabilities = makeTrainer(
      { loss: 'sparse_categorical_crossentropy', metrics: [(output) => max(output)] },
      ending,
    );
    for (let i = 0; i < 3; i++) {
      const [a, b] = [await logits.trainOnBatch(points, labels), await probabilities.trainOnBatch(points, labels)];
      expect(b['loss']).toBe(a['loss']);
      expect(b['metric']).toBeLessThanOrEqual(1);
    }
    expect(await weightsOf(ending)).toEqual(await weightsOf(plain));
  });

  test('is exact where probabilities are 0 in float32', async () => {
    const model = new nn.Sequential(new nn.Softmax());
    const trainer = makeTrainer({ loss: 'sparseCategoricalCrossentropy', metrics: [] }, model);
    const { loss } = await trainer.testOnBatch([[0, 200]], [0]);
    expect(loss).toBeCloseTo(200, 3);
    const binary = makeTrainer({ loss: 'binaryCrossentropy', metrics: [] }, new nn.Sequential(new nn.Sigmoid()));
    expect((await binary.testOnBatch([[-150]], [[1]]))['loss']).toBeCloseTo(150, 3);
  });
});

describe('what goes wrong', () => {
  test('is found before anything is trained, and names the argument', async () => {
    const trainer = makeTrainer();
    const before = await weightsOf(trainer.model);
    const narrow = { data: points.data.slice(0, samples * 4), shape: [samples, 4] };
    const wrong: [() => Promise<unknown>, string][] = [
      [() => trainer.fit(points, labels.subarray(1), quiet), 'fit: x has 96 samples, fit: y has 95'],
      [() => trainer.fit(narrow, labels, quiet), 'fit: x has shape [batch, 4]: '],
      [
        () =>
          trainer.fit(
            points,
            labels.map(() => 3),
            quiet,
          ),
        'fit: y: the label of sample 0 is 3, wanted a class from 0 to 2',
      ],
      [() => trainer.fit(points, undefined as never, quiet), 'fit: y is missing'],
      [
        () => trainer.fit(points, labels, { ...quiet, validationSplit: 1 }),
        'fit: validationSplit must be from 0 to below 1, got 1',
      ],
      [() => trainer.fit(points, labels, { ...quiet, validationSplit: 1e-18 }), 'leaves none for validation'],
      [
        () => trainer.fit(points, labels, { ...quiet, batchSize: 0 }),
        'fit: batchSize must be a positive integer, got 0',
      ],
      [
        () => trainer.fit(points, labels, { ...quiet, epochs: 1.5 }),
        'fit: epochs must be an integer of at least 0, got 1.5',
      ],
      [
        () => trainer.fit(points, labels, { ...quiet, validationData: [narrow, labels] }),
        'fit: validationData[0] has shape [batch, 4]',
      ],
      [
        () => trainer.fit(points, labels, { ...quiet, validationData: [points, [1]] }),
        'fit: validationData[0] has 96 samples, fit: validationData[1] has 1',
      ],
      [
        () => trainer.fit(points, labels, { ...quiet, sampleWeight: [1] }),
        'fit: x has 96 samples, fit: sampleWeight has 1',
      ],
      [() => trainer.fit(points, labels, { ...quiet, verbose: 7 as never }), 'verbose'],
      [
        () => trainer.fit(points, labels, { ...quiet, epoch: 5 } as never),
        "fit: option 'epoch' is unknown; did you mean 'epochs'?",
      ],
      [
        () => trainer.fit(points, labels, { ...quiet, signal: 5 as never }),
        'fit: signal must be an AbortSignal, got 5',
      ],
      [
        () => trainer.fit(points, labels, { ...quiet, callbacks: { onEpochEnd() {} } as never }),
        'fit: callbacks must be a list',
      ],
      [
        () => trainer.fit(points, labels, { ...quiet, callbacks: [{ onEpochFinish() {} } as never] }),
        'fit: callbacks[0] has none of the methods onTrainBegin',
      ],
      [() => trainer.fit(() => [], { ...quiet, validationSplit: 0.5 }), 'fit: validationSplit goes with arrays'],
      [() => trainer.evaluate(points, labels, { batchSize: -1 }), 'evaluate: batchSize'],
      [() => trainer.predict(narrow), 'predict: x has shape [batch, 4]'],
      [() => trainer.trainOnBatch(points, [1]), 'trainOnBatch: x has 96 samples, trainOnBatch: y has 1'],
    ];
    const tensors = memory().tensors;
    for (const [call, message] of wrong) expect((await rejectionOf(call())).message).toContain(message);
    expect(memory().tensors).toBe(tensors);
    expect(await weightsOf(trainer.model)).toEqual(before);
  });

  test('options that make no sense', () => {
    const wrong: [Partial<TrainerOptions>, string][] = [
      [{ loss: 'crossEntrpy' }, "Trainer: loss 'crossEntrpy' is unknown; did you mean 'crossEntropy'?"],
      [{ optimizer: 'adm' }, "Trainer: optimizer 'adm' is unknown; did you mean 'adam'?"],
      [{ optimizer: { name: 'sgd', momentun: 0.9 } }, "option 'momentun' is unknown; did you mean 'momentum'?"],
      [{ metrics: ['acuracy'] }, "Trainer: metric 'acuracy' is unknown; did you mean 'accuracy'?"],
      [{ loss: 5 as never }, 'Trainer: loss must be'],
      [{ optimizer: undefined as never }, 'Trainer: optimizer must be'],
      [{ metrics: [5 as never] }, 'Trainer: metric must be'],
      [{ clipNorm: 0 }, 'clipNorm must be above 0'],
      [{ metrics: 'accuracy' as never }, 'Trainer: metrics must be a list, got accuracy'],
      [{ optimiser: 'sgd' } as never, "Trainer: option 'optimiser' is unknown; did you mean 'optimizer'?"],
    ];
    for (const [options, message] of wrong) expect(errorOf(() => makeTrainer(options)).message).toContain(message);
  });

  test('a label that the device finds leaves the weights as they were, and training goes on', async () => {
    setSeed(8);
    const trainer = makeTrainer();
    await trainer.trainOnBatch(points, labels);
    const bad = 2;
    const batches = function* () {
      for (let i = 0; i < 6; i++) {
        yield [tensor(points.data, points.shape), tensor(labels.map((label) => (i === bad ? 7 : label)))] as [
          Tensor,
          Tensor<'int32'>,
        ];
      }
    };
    const weights: number[][] = [];
    const record: Callback = {
      onBatchEnd: async () => void weights.push(await weightsOf(trainer.model)),
    };
    const tensors = memory().tensors;
    const error = await rejectionOf(trainer.fit(batches, { ...quiet, callbacks: [record] }));
    expect(error).toMatchObject({ code: 'ERR_VALUE' });
    expect(error.message).toBe('fit: dataset: step 2: crossEntropy: labels[0] is 7, wanted 0..2');
    expect(memory().tensors).toBe(tensors);
    // What was under way when step 1 was reported is step 2, which changed nothing.
    expect(await weightsOf(trainer.model)).toEqual(weights.at(-1));
    const { history } = await trainer.fit(points, labels, { ...quiet, epochs: 2 });
    expect(history['loss']!.every(Number.isFinite)).toBe(true);
  });

  test('a model that is being trained cannot be trained, but predicts', async () => {
    const trainer = makeTrainer({}, makeModel({ dropout: 0.5 }));
    trainer.model.eval();
    const training = trainer.fit(points, labels, { ...quiet, epochs: 3 });
    expect(await rejectionOf(trainer.fit(points, labels, quiet))).toMatchObject({ code: 'ERR_STATE' });
    using during = await trainer.predict(points);
    expect(during.shape).toEqual([samples, classes]);
    await training;
    expect(trainer.model.modules().every((module) => !module.training)).toBe(true);
  });

  test('a loss function that gives no single number', async () => {
    const losses: [(output: Tensor) => Tensor, string][] = [
      [(output) => output, 'it gave shape [32, 3]'],
      [() => undefined as never, 'it gave no tensor, but undefined'],
    ];
    for (const [loss, found] of losses) {
      const trainer = makeTrainer({ loss, metrics: [] });
      expect((await rejectionOf(trainer.fit(points, labels, quiet))).message).toContain(
        `fit: step 0: loss loss: wanted one number for a batch, ${found}`,
      );
      for (const parameter of trainer.model.parameters()) expect(parameter.grad).toBeNull();
    }
  });

  test('labels that are no probabilities, for the losses that want some', async () => {
    const wrong = (loss: TrainerOptions['loss'], value: number) => {
      const y = tensor([...labels].flatMap((label) => [0, 1, 2].map((c) => (c === label ? value : 0)))).reshape(-1, 3);
      return [
        makeTrainer({ loss, metrics: [] }).fit(points, y, quiet),
        makeTrainer({ loss, metrics: [] }).fit(() => [[tensor(points.data, points.shape), y.add(0)]] as const, quiet),
      ];
    };
    for (const loss of ['categoricalCrossentropy', 'crossEntropy', 'binaryCrossentropy', new nn.BCEWithLogitsLoss()]) {
      for (const fit of wrong(loss, 2)) {
        expect((await rejectionOf(fit)).message).toMatch(
          / the label of sample 0, element \d, is 2, wanted a number from 0 to 1$/,
        );
      }
      for (const fit of wrong(loss, 1 + 1e-6)) expect((await fit).history['loss']).toHaveLength(1);
    }
    for (const fit of wrong('mse', 2)) expect((await fit).history['loss']).toHaveLength(1);
  });

  test('loss functions and metric functions both take the prediction first', async () => {
    const trainer = makeTrainer({
      loss: (output, target) => crossEntropy(output, target as Tensor<'int32'>),
      metrics: [
        function share(prediction, target) {
          expect([prediction.shape, target.shape]).toEqual([[samples, classes], [samples]]);
          return scalar(1);
        },
      ],
    });
    expect(await trainer.testOnBatch(points, labels)).toMatchObject({ share: 1 });
  });

  test('an error of the data set comes out as it is', async () => {
    const failing = function* () {
      yield [tensor(points.data, points.shape), tensor(labels)] as [Tensor, Tensor<'int32'>];
      throw new Error('no such picture');
    };
    const tensors = memory().tensors;
    const trainer = makeTrainer({ optimizer: { name: 'sgd' } });
    const own = memory().tensors - tensors;
    expect((await rejectionOf(trainer.fit(failing, quiet))).message).toBe('no such picture');
    expect(memory().tensors - tensors - own).toBeLessThanOrEqual(trainer.optimizer.stateDict().size);
  });
});

describe('ending a run', () => {
  test('an AbortSignal ends it after the step; the weights stay', async () => {
    const controller = new AbortController();
    const calls: string[] = [];
    const callback: Callback = {
      onBatchEnd: (step) => {
        if (step === 1) controller.abort();
      },
      onEpochEnd: () => void calls.push('epochEnd'),
      onTrainEnd: (run) => void calls.push(`trainEnd ${run.outcome}`),
    };
    const trainer = makeTrainer();
    const options = { ...quiet, epochs: 4, batchSize: 8, callbacks: [callback], signal: controller.signal };
    const history = await trainer.fit(points, labels, options);
    expect(history).toMatchObject({ aborted: true, epoch: [] });
    expect(calls).toEqual(['trainEnd aborted']);
    const again = await trainer.fit(points, labels, { ...quiet, signal: AbortSignal.abort() });
    expect(again).toMatchObject({ aborted: true, epoch: [] });
  });

  test('a callback stops it, in the middle of an epoch or at its end', async () => {
    const atStep: Callback = { onBatchEnd: (step, _, run) => void (step === 0 && run.stop('enough')) };
    const first = await makeTrainer().fit(points, labels, { ...quiet, epochs: 9, batchSize: 8, callbacks: [atStep] });
    expect(first).toMatchObject({ stopReason: 'enough', epoch: [0] });
    const atEnd: Callback = { onEpochEnd: (epoch, _, run) => void (epoch === 1 && run.stop('enough')) };
    const second = await makeTrainer().fit(points, labels, { ...quiet, epochs: 9, callbacks: [atEnd] });
    expect(second).toMatchObject({ stopReason: 'enough', epoch: [0, 1] });
  });

  test('what a callback throws comes out, and every callback gets its end', async () => {
    for (const hook of ['onTrainBegin', 'onEpochBegin', 'onBatchBegin', 'onBatchEnd', 'onEpochEnd'] as const) {
      const ends: string[] = [];
      const trainer = makeTrainer();
      const tensors = memory().tensors;
      const callbacks: Callback[] = [
        { onTrainEnd: (run) => void ends.push(`first ${run.outcome}`) },
        {
          [hook]: async () => {
            throw new TypeError(`in ${hook}`);
          },
          onTrainEnd: () => void ends.push('second'),
        },
      ];
      const error = await rejectionOf(trainer.fit(points, labels, { ...quiet, callbacks }));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toBe(`in ${hook}`);
      expect(ends).toEqual(['first failed', 'second']);
      await synchronize();
      expect(memory().tensors - tensors).toBeLessThanOrEqual(trainer.optimizer.stateDict().size);
    }
  });

  test('weights can be kept and restored', async () => {
    const trainer = makeTrainer();
    const before = await weightsOf(trainer.model);
    const callback: Callback & { copy?: { restore(): void; dispose(): void } } = {
      onTrainBegin: (run) => void (callback.copy = run.copyWeights()),
      onTrainEnd: () => {
        callback.copy!.restore();
        callback.copy!.dispose();
      },
    };
    await trainer.fit(points, labels, { ...quiet, callbacks: [callback] });
    expect(await weightsOf(trainer.model)).toEqual(before);
  });
});

describe('learning rates and gradients', () => {
  test('a schedule goes on with every epoch or every step', async () => {
    for (const [scheduleBy, expected] of [
      ['epoch', 0.25],
      ['step', 0.5 ** 6],
    ] as const) {
      const trainer = makeTrainer({ optimizer: { name: 'sgd', learningRate: 1 } });
      const schedule = (optimizer: optim.Optimizer) => new optim.ExponentialLR(optimizer, { gamma: 0.5 });
      await trainer.fit(points, labels, { ...quiet, epochs: 2, schedule, scheduleBy });
      expect(trainer.optimizer.lr).toBeCloseTo(expected, 12);
    }
  });

  test('clipNorm limits the step', async () => {
    const distance = async (clipNorm?: number) => {
      setSeed(9);
      const trainer = makeTrainer({ optimizer: { name: 'sgd', learningRate: 1 }, ...(clipNorm && { clipNorm }) });
      const before = await weightsOf(trainer.model);
      await trainer.trainOnBatch(points, labels);
      const after = await weightsOf(trainer.model);
      return Math.hypot(...after.map((value, i) => value - before[i]!));
    };
    expect(await distance()).toBeGreaterThan(0.02);
    expect(await distance(0.01)).toBeCloseTo(0.01, 5);
  });

  test("optimizers of one's own, made before or by a function", async () => {
    const model = makeModel();
    const own = new optim.SGD(model.parameters(), { lr: 0.1 });
    expect(makeTrainer({ optimizer: own }, model).optimizer).toBe(own);
    const made = makeTrainer({ optimizer: (parameters) => new optim.RMSprop(parameters, { lr: 0.1 }) });
    await made.trainOnBatch(points, labels);
    expect(made.optimizer).toBeInstanceOf(optim.RMSprop);
  });
});

describe('memory', () => {
  test('stays as it is over epochs, predictions and evaluations', async () => {
    const trainer = makeTrainer({ metrics: ['accuracy', 'topK', 'auc', 'f1'], clipNorm: 1 });
    const round = async () => {
      await trainer.fit(points, labels, { ...quiet, epochs: 2, validationSplit: 0.25, classWeight: { 0: 2 } });
      await trainer.evaluate(points, labels);
      await trainer.trainOnBatch(points, labels);
      (await trainer.predict(points)).dispose();
      await synchronize();
    };
    await round();
    const before = memory();
    for (let i = 0; i < 3; i++) await round();
    const after = memory();
    expect(after.tensors).toBe(before.tensors);
    expect(after.bytes).toBe(before.bytes);
    expect(after.blocks).toBe(before.blocks);
  });
});

describe('predict', () => {
  test('gives the same for any batch size, for data sets, and many times at once', async () => {
    const model = makeModel({ dropout: 0.5 });
    const trainer = makeTrainer({}, model);
    using whole = await trainer.predict(points, { batchSize: samples });
    const expected = await whole.data();
    const outputs = await Promise.all([1, 7, 32, 200].map((batchSize) => trainer.predict(points, { batchSize })));
    const inBatches = await trainer.predict(() => [
      tensor(points.data.slice(0, 50 * features), [50, features]),
      [tensor(points.data.slice(50 * features), [46, features]), tensor(labels)],
    ]);
    for (const output of [...outputs, inBatches]) {
      expectClose(output, expected);
      output.dispose();
    }
  });
});
