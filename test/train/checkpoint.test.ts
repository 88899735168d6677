import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  callbacks,
  layers,
  loadModel,
  loadWeights,
  memory,
  metrics,
  model as functional,
  nn,
  optim,
  reshape,
  saveWeights,
  setSeed,
  Trainer,
  type Tensor,
} from '../../lib';
import { readSafetensors, writeSafetensors } from '../../lib/formats';
import { rejectionOf, temporaryFolder } from '../support/files';
import { TestData } from '../support/random';

const data = new TestData(11);
const [batch, side, classes] = [6, 8, 4];
const images = { data: data.floats(10 * batch * side * side), shape: [10 * batch, side, side, 1] };
const labels = Int32Array.from({ length: 10 * batch }, () => data.integer(0, classes - 1));
const step = (i: number) => ({
  x: { data: images.data.slice(i * batch * side * side, (i + 1) * batch * side * side), shape: [batch, side, side, 1] },
  y: labels.slice(i * batch, (i + 1) * batch),
});

/** Everything that has a state: dropout, batch norm, moments, counts. */
function makeModel(): nn.Sequential {
  return new nn.Sequential([
    layers.conv2d({ filters: 4, kernelSize: 3, inputShape: [side, side, 1] }),
    layers.batchNormalization(),
    layers.activation({ activation: 'relu' }),
    layers.flatten(),
    layers.dropout({ rate: 0.3 }),
    layers.dense({ units: classes, activation: 'softmax' }),
  ]);
}

const compileOptions = {
  optimizer: { name: 'adam', learningRate: 0.01 },
  loss: 'sparseCategoricalCrossentropy',
  metrics: ['accuracy', new metrics.TopK({ k: 2 })],
  clipNorm: 1,
};

async function stateOf(model: nn.Module, trainer: Trainer): Promise<[string, number[]][]> {
  const all = [...model.stateDict(), ...trainer.optimizer.stateDict()];
  return await Promise.all(all.map(async ([name, value]) => [name, [...(await value.data())]] as [string, number[]]));
}

const folder = temporaryFolder();

describe('resuming', () => {
  const optimizers: Record<string, Parameters<nn.Sequential['compile']>[0]['optimizer']> = {
    adam: compileOptions.optimizer,
    'sgd with momentum': { name: 'sgd', momentum: 0.9, nesterov: true },
    rmsprop: 'rmsprop',
    adamw: { name: 'adamw', learningRate: 0.01 },
  };
  test.each(Object.keys(optimizers))('%s: ten steps are five, a file, and five', async (name) => {
    setSeed(1);
    const whole = makeModel().compile({ ...compileOptions, optimizer: optimizers[name]! });
    const losses: number[] = [];
    const path = join(folder, 'resume.safetensors');
    for (let i = 0; i < 10; i++) {
      if (i === 5) await whole.save(path);
      losses.push((await whole.trainOnBatch(step(i).x, step(i).y))['loss']!);
    }
    setSeed(99);
    const resumed = await loadModel(path, { resume: true });
    const after: number[] = [];
    for (let i = 5; i < 10; i++) after.push((await resumed.trainOnBatch(step(i).x, step(i).y))['loss']!);
    expect(after).toEqual(losses.slice(5));
    expect(await stateOf(resumed, resumed.trainer)).toEqual(await stateOf(whole, whole.trainer));
  });

  test("fit goes on in the same order of samples: a Trainer of a class of one's own", async () => {
    class Net extends nn.Module {
      hidden = new nn.Linear(side * side, 8);
      drop = new nn.Dropout(0.2);
      out = new nn.Linear(8, classes);
      forward(x: Tensor): Tensor {
        return this.out(this.drop(this.hidden(reshape(x, [-1, side * side]))));
      }
    }
    const makeTrainer = () => new Trainer(new Net(), { optimizer: 'adam', loss: 'crossEntropy' });
    const path = join(folder, 'net.safetensors');
    setSeed(2);
    const whole = makeTrainer();
    const first = await whole.fit(images, labels, {
      epochs: 4,
      verbose: 0,
      callbacks: [{ onEpochEnd: async (epoch, _, run) => void (epoch === 1 && (await run.save(path))) }],
    });
    setSeed(77);
    const resumed = makeTrainer();
    await resumed.load(path);
    const { history } = await resumed.fit(images, labels, { initialEpoch: 2, epochs: 4, verbose: 0 });
    expect(history['loss']).toEqual(first.history['loss']!.slice(2));
    expect(await stateOf(resumed.model, resumed)).toEqual(await stateOf(whole.model, whole));
    expect((await rejectionOf(loadModel(path))).message).toContain(`${path} holds weights, but no model`);
  });
});

describe('models', () => {
  test('a Sequential comes back, compiled, and predicts the same', async () => {
    setSeed(3);
    const model = makeModel().compile(compileOptions);
    model.layers[0]!.trainable = false;
    await model.fit(images, labels, { verbose: 0 });
    const path = join(folder, 'made', 'on', 'the', 'way', 'model.safetensors');
    await model.save(path);
    const loaded = await loadModel(path);
    expect(String(loaded)).toBe(String(model));
    expect(loaded.modules().map((module) => module.trainable)).toEqual(
      model.modules().map((module) => module.trainable),
    );
    using expected = await model.predict(images);
    using found = await loaded.predict(images);
    expect([...(await found.data())]).toEqual([...(await expected.data())]);
    expect(await loaded.evaluate(images, labels)).toEqual(await model.evaluate(images, labels));
    expect(loaded.trainer.options).toMatchObject({ clipNorm: 1 });
    expect(loaded.trainer.metrics.map(({ name }) => name)).toEqual(['accuracy', 'topK']);
  });

  test('a functional model comes back; one that is not compiled stays so', async () => {
    const input = layers.input({ shape: [side, side, 1] });
    const branch = layers.conv2d({ filters: 2, kernelSize: 3, padding: 'same' })(input);
    const other = layers.conv2d({ filters: 2, kernelSize: 1 })(input);
    const joined = layers.flatten()(layers.add()([branch, other]));
    const model = functional({ inputs: input, outputs: layers.dense({ units: classes })(joined) });
    const path = join(folder, 'functional.safetensors');
    await model.save(path);
    const loaded = await loadModel(path);
    using expected = await model.predict(images);
    using found = await loaded.predict(images);
    expect([...(await found.data())]).toEqual([...(await expected.data())]);
    expect((await rejectionOf(loaded.fit(images, labels))).message).toContain('fit: the model is not compiled');
  });

  test('a loss or an optimizer that no file can hold leaves a model to be compiled', async () => {
    const model = makeModel().compile({
      ...compileOptions,
      optimizer: (parameters) => new optim.SGD(parameters, { lr: 0.1, momentum: 0.9 }),
    });
    await model.trainOnBatch(step(0).x, step(0).y);
    const path = join(folder, 'own.safetensors');
    await model.save(path);
    const loaded = await loadModel(path);
    expect((await rejectionOf(loaded.evaluate(images, labels))).message).toContain('is not compiled');
    loaded.compile({
      ...compileOptions,
      optimizer: (parameters) => new optim.SGD(parameters, { lr: 0.1, momentum: 0.9 }),
    });
    await loaded.trainer.load(path);
    expect(await stateOf(loaded, loaded.trainer)).toEqual(await stateOf(model, model.trainer));
  });

  test('the weights alone go into any module of the same form', async () => {
    const [a, b] = [makeModel(), makeModel()];
    const path = join(folder, 'weights.safetensors');
    await saveWeights(a, path);
    const before = memory().tensors;
    expect(await loadWeights(b, path)).toEqual({ missing: [], unexpected: [] });
    expect(memory().tensors).toBe(before);
    const { tensors } = await readSafetensors(path);
    expect([...tensors.keys()].sort()).toEqual([...a.stateDict().keys()].sort());
    for (const tensor of tensors.values()) tensor.dispose();
    const small = new nn.Sequential(new nn.Linear(2, 2));
    const error = await rejectionOf(loadWeights(small, path));
    expect(error).toMatchObject({ code: 'ERR_FORMAT' });
    expect(error.message).toContain(path);
  });

  test('ModelCheckpoint writes files that load', async () => {
    const model = makeModel().compile(compileOptions);
    const checkpoint = new callbacks.ModelCheckpoint(join(folder, 'epoch-{epoch}.safetensors'));
    const weights = new callbacks.ModelCheckpoint(join(folder, 'only-weights'), { saveWeightsOnly: true });
    await model.fit(images, labels, { epochs: 2, verbose: 0, callbacks: [checkpoint, weights] });
    expect(readdirSync(folder)).toEqual(expect.arrayContaining(['epoch-01.safetensors', 'epoch-02.safetensors']));
    const loaded = await loadModel(checkpoint.lastPath!);
    expect(await loaded.evaluate(images, labels)).toEqual(await model.evaluate(images, labels));
    await loadWeights(loaded, join(folder, 'only-weights'));
  });
});

describe('files that are no models', () => {
  test('are refused by name, and nothing leaks', async () => {
    const path = join(folder, 'whole.safetensors');
    const model = makeModel().compile(compileOptions);
    await model.save(path);
    const whole = readFileSync(path);
    const { tensors, metadata } = await readSafetensors(path);
    const manifest = JSON.parse(metadata['convgrad']!) as {
      model: { config: { layers: unknown[] } };
      training: object;
    };
    const broken = join(folder, 'broken.safetensors');
    const withManifest = (changed: unknown) =>
      writeSafetensors(broken, tensors, { convgrad: typeof changed === 'string' ? changed : JSON.stringify(changed) });
    const damages: [string, () => void | Promise<void>, string][] = [
      ['cut off', () => writeFileSync(broken, whole.subarray(0, whole.length - 9)), ''],
      ['empty', () => writeFileSync(broken, ''), ''],
      ['text', () => writeFileSync(broken, 'not a model, but long enough'), ''],
      ['metadata that is no JSON', () => withManifest('{'), 'is not JSON'],
      ['of another version', () => withManifest({ ...manifest, version: 9 }), 'format version 9 is not known'],
      ['without a model', () => withManifest({ version: 1 }), 'holds weights, but no model'],
      [
        'a class that is not known',
        () => withManifest({ ...manifest, model: { class: 'Nonsense', config: {} } }),
        "no class is registered as 'Nonsense'",
      ],
      [
        'a layer that is missing',
        () =>
          withManifest({
            ...manifest,
            model: { ...manifest.model, config: { layers: manifest.model.config.layers.slice(0, 4) } },
          }),
        'does not fit',
      ],
      [
        'a loss that is not known',
        () => withManifest({ ...manifest, training: { ...manifest.training, loss: { name: 'none' } } }),
        "loss 'none' is unknown",
      ],
      ['no training to speak of', () => withManifest({ ...manifest, training: {} }), 'is incomplete'],
    ];
    for (const [name, damage, message] of damages) {
      await damage();
      const before = memory().tensors;
      const error = await rejectionOf(loadModel(broken));
      expect(error, name).toMatchObject({ code: 'ERR_FORMAT' });
      expect(error.message, name).toContain(broken);
      expect(error.message, name).toContain(message);
      expect(memory().tensors - before, name).toBeLessThanOrEqual(model.stateDict().size);
    }
    for (const tensor of tensors.values()) tensor.dispose();
    expect((await rejectionOf(loadModel(join(folder, 'absent')))).code).toBe('ENOENT');
  });
});

describe('a process that is killed while it saves', () => {
  test('leaves a whole model, of one moment', async () => {
    const path = join(folder, 'killed.safetensors');
    const killed: number[] = [];
    for (let round = 0; round < 5; round++) {
      const saver = spawn(process.execPath, ['--import', 'tsx', join(__dirname, 'checkpointSaver.ts'), path], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(saver.stdout, 'data');
      await setTimeout(Math.random() * 40);
      saver.kill('SIGKILL');
      await once(saver, 'exit');
      const model = await loadModel(path);
      const values = await Promise.all(model.parameters().map((parameter) => parameter.data()));
      const generation = values[0]![0]!;
      for (const value of values) expect(value.every((element) => element === generation)).toBe(true);
      killed.push(generation);
      model.dispose();
    }
    expect(Math.max(...killed)).toBeGreaterThanOrEqual(1);
  });
});
