import { describe, expect, test } from 'vitest';
import { layers, memory, metrics, model as functional, nn, optim, setSeed, tensor } from '../../lib';
import { errorOf } from '../support/compare';
import { rejectionOf } from '../support/files';
import { TestData } from '../support/random';

const data = new TestData(5);
const count = 40;
const images = { data: data.floats(count * 36), shape: [count, 6, 6, 1] };
const labels = Int32Array.from({ length: count }, (_, i) => (images.data[i * 36]! > 0 ? 1 : 0));
const quiet = { verbose: 0 } as const;

const make = (activation: 'softmax' | 'sigmoid' = 'softmax') =>
  new nn.Sequential([
    layers.conv2d({ filters: 4, kernelSize: 3, activation: 'relu', inputShape: [6, 6, 1] }),
    layers.flatten(),
    layers.dense({ units: activation === 'softmax' ? 2 : 1, activation }),
  ]);

describe('the Keras face', () => {
  test('compile, fit, evaluate, predict', async () => {
    setSeed(1);
    const model = make().compile({
      optimizer: { name: 'adam', learningRate: 0.01 },
      loss: 'sparse_categorical_crossentropy',
      metrics: ['accuracy', 'sparse_top_k_categorical_accuracy', 'AUC', new metrics.F1()],
    });
    const { history } = await model.fit(images, labels, { ...quiet, epochs: 10, validationSplit: 0.2 });
    expect(Object.keys(history)).toEqual(
      ['', 'val_'].flatMap((prefix) =>
        ['loss', 'accuracy', 'sparseTopKCategoricalAccuracy', 'auc', 'f1'].map((name) => prefix + name),
      ),
    );
    expect(history['loss']!.at(-1)).toBeLessThan(history['loss']![0]!);
    const logs = await model.evaluate(images, labels);
    using probabilities = await model.predict(images, { batchSize: 7 });
    expect(probabilities.shape).toEqual([count, 2]);
    const values = await probabilities.data();
    const hits = labels.filter((label, i) => Number(values[2 * i + 1]! > values[2 * i]!) === label).length;
    expect(logs['accuracy']).toBeCloseTo(hits / count, 12);
    for (let i = 0; i < count; i++) expect(values[2 * i]! + values[2 * i + 1]!).toBeCloseTo(1, 5);
  });

  test("'accuracy' is the one of the loss", async () => {
    const binary = make('sigmoid').compile({
      optimizer: 'sgd',
      loss: 'binary_crossentropy',
      metrics: ['accuracy', 'acc'],
    });
    const logs = await binary.evaluate(images, labels);
    using scores = await binary.predict(images);
    const right = (await scores.data()).filter((score, i) => Number(score > 0.5) === labels[i]).length;
    expect(logs['accuracy']).toBeCloseTo(right / count, 12);
    expect(logs['acc']).toBe(logs['accuracy']);

    const oneHot = Array.from(labels, (label) => [1 - label, label]);
    const model = make();
    const sparse = await model
      .compile({ optimizer: 'sgd', loss: 'sparse_categorical_crossentropy', metrics: ['accuracy'] })
      .evaluate(images, labels);
    const dense = await model
      .compile({ optimizer: 'sgd', loss: 'categorical_crossentropy', metrics: ['accuracy'] })
      .evaluate(images, oneHot);
    expect(dense['accuracy']).toBe(sparse['accuracy']);
    expect(dense['loss']).toBeCloseTo(sparse['loss']!, 6);
  });

  test('names in any case, and objects, make the same optimizer', () => {
    const lrOf = (optimizer: Parameters<nn.Sequential['compile']>[0]['optimizer']) => {
      const model = make().compile({ optimizer, loss: 'mse' });
      const { constructor, groups } = model.trainer.optimizer;
      return [constructor, groups[0]!.options];
    };
    expect(lrOf('adam')).toEqual([optim.Adam, { lr: 0.001, eps: 1e-7, kerasEpsilon: true }]);
    expect(lrOf('SGD')).toEqual([optim.SGD, { lr: 0.01 }]);
    expect(lrOf('AdamW')).toEqual([optim.AdamW, { lr: 0.001, eps: 1e-7, weightDecay: 0.004, kerasEpsilon: true }]);
    expect(lrOf({ name: 'rms_prop', learning_rate: 0.1, rho: 0.8 })).toEqual([
      optim.RMSprop,
      { lr: 0.1, alpha: 0.8, eps: 1e-7, kerasEpsilon: true },
    ]);
    expect(lrOf({ name: 'adam', beta1: 0.8, epsilon: 1e-3 })).toEqual([
      optim.Adam,
      { lr: 0.001, eps: 1e-3, kerasEpsilon: true, betas: [0.8, 0.999] },
    ]);
  });

  test('mistakes are named', async () => {
    const model = make();
    for (const method of ['fit', 'evaluate', 'trainOnBatch', 'testOnBatch'] as const) {
      const error = await rejectionOf(model[method](images, labels));
      expect(error).toMatchObject({ code: 'ERR_STATE' });
      expect(error.message).toContain(`${method}: the model is not compiled: call compile({ optimizer, loss }) first`);
    }
    expect(errorOf(() => model.compile({ optimizer: 'adam', loss: 'sparse_crossentropy' })).message).toMatch(
      /^compile: loss 'sparse_crossentropy' is unknown; did you mean '.*'\? Known: sparseCategorical/,
    );
    model.compile({ optimizer: 'adam', loss: 'sparseCategoricalCrossentropy' });
    const large = { data: new Float32Array(2 * 64), shape: [2, 8, 8, 1] };
    expect((await rejectionOf(model.fit(large, [0, 1], quiet))).message).toBe(
      'fit: x has shape [batch, 8, 8, 1], the model wants [batch, 6, 6, 1]',
    );
    using single = tensor(new Float32Array(36), [6, 6, 1]);
    expect((await rejectionOf(model.predict(single))).message).toBe(
      'predict: x has shape [batch, 6, 1], the model wants [batch, 6, 6, 1]; a single sample needs a batch axis in front',
    );
    const wrong = labels.map((label, i) => (i === 17 ? 2 : label));
    expect((await rejectionOf(model.fit(images, wrong, quiet))).message).toBe(
      'fit: y: the label of sample 17 is 2, wanted a class from 0 to 1',
    );
  });

  test('a model with several inputs takes them as an array of tensors', async () => {
    const [a, b] = [layers.input({ shape: [3] }), layers.input({ shape: [2] })];
    const model = functional({ inputs: [a, b], outputs: layers.dense({ units: 1 })(layers.concatenate()([a, b])) });
    model.compile({ optimizer: { name: 'adam', learningRate: 0.05 }, loss: 'mse' });
    using x1 = data.tensor([30, 3]);
    using x2 = data.tensor([30, 2]);
    const inputs = [x1, x2];
    const { history } = await model.fit(inputs, new Float32Array(30).fill(1), { ...quiet, epochs: 30 });
    expect(history['loss']!.at(-1)).toBeLessThan(history['loss']![0]! / 2);
    (await model.predict(inputs)).dispose();
    expect((await rejectionOf(model.fit(x1, [1], quiet))).message).toContain('fit: x has 30 samples, fit: y has 1');
  });

  test('weights are made by the first batch when no input shape was given', async () => {
    const model = new nn.Sequential([layers.flatten(), layers.dense({ units: 2, activation: 'softmax' })]);
    model.compile({ optimizer: 'adam', loss: 'sparseCategoricalCrossentropy' });
    await model.fit(images, labels, quiet);
    expect(model.parameters()).toHaveLength(2);
    const lazy = new nn.Sequential([layers.flatten(), layers.dense({ units: 2, activation: 'softmax' })]);
    lazy.compile({ optimizer: 'adam', loss: 'sparseCategoricalCrossentropy' });
    await lazy.fit(() => [{ x: tensor(images.data, images.shape), y: tensor(labels) }], quiet);
    expect(lazy.parameters()).toHaveLength(2);
  });

  test('a frozen model cannot be trained, and says so', async () => {
    const model = make().compile({ optimizer: 'adam', loss: 'sparseCategoricalCrossentropy' });
    model.trainable = false;
    const error = await rejectionOf(model.fit(images, labels, quiet));
    expect(error.message).toContain('fit: step 0: backward: nothing that this tensor was computed from');
  });

  test('thousands of refused calls leave nothing behind', async () => {
    const model = make().compile({ optimizer: 'adam', loss: 'sparseCategoricalCrossentropy' });
    await model.trainOnBatch(images, labels);
    const before = memory();
    for (let i = 0; i < 2000; i++) {
      await rejectionOf(model.trainOnBatch(images, i % 2 ? [5] : labels.map(() => -1)));
    }
    const after = memory();
    expect([after.tensors, after.bytes]).toEqual([before.tensors, before.bytes]);
    expect(await model.trainOnBatch(images, labels)).toHaveProperty('loss');
  });
});
