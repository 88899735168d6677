import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { runCli, runCliJson } from '../support/cli';
import { temporaryFolder } from '../support/files';
import { paintPhotos } from '../support/photos';

interface Trained {
  model: string;
  classNames: string[];
  images: { training: number; validation: number; skipped: string[] };
  epochs: number;
  interrupted: boolean;
  stopReason: string | null;
  history: Record<string, number[]>;
}
interface Failure {
  error: { code: string; message: string };
}

const folder = temporaryFolder();
const photos = join(folder, 'photos');
const model = join(folder, 'model');
const quick = ['--size', '16', '--batch-size', '8', '--no-augment'];

describe('train, evaluate, predict, summary', () => {
  let trained: Awaited<ReturnType<typeof runCliJson<Trained>>>;
  beforeAll(async () => {
    await paintPhotos(photos);
    trained = await runCliJson<Trained>(['train', photos, '--out', model, '--epochs', '20', ...quick]);
  });

  test('train learns, and says what it did', () => {
    expect(trained.code, trained.stderr).toBe(0);
    expect(trained.json).toMatchObject({
      model,
      classNames: ['blue', 'green', 'red'],
      images: { training: 27, validation: 3, skipped: [] },
      epochs: 20,
      interrupted: false,
      stopReason: null,
    });
    const { loss, val_accuracy } = trained.json.history;
    expect(loss).toHaveLength(20);
    expect(loss!.at(-1)!).toBeLessThan(loss![0]!);
    expect(val_accuracy).toHaveLength(20);
  });

  test('train shows a line an epoch on stderr', () => {
    expect(trained.stderr).toMatch(/Epoch +1\/20 .*loss/);
    expect(trained.stderr).toMatch(/Epoch 20\/20 .*val_accuracy/);
  });

  test('evaluate gives accuracy, a report on each class and the confusion matrix', async () => {
    const { code, json } = await runCliJson<{
      accuracy: number;
      images: number;
      classes: { className: string; precision: number; recall: number; f1: number; images: number }[];
      confusionMatrix: number[][];
    }>(['evaluate', model, photos]);
    expect(code).toBe(0);
    expect(json.images).toBe(30);
    expect(json.accuracy).toBeGreaterThan(0.9);
    expect(json.classes.map(({ className, images }) => [className, images])).toEqual([
      ['blue', 10],
      ['green', 10],
      ['red', 10],
    ]);
    expect(json.confusionMatrix.flat().reduce((sum, count) => sum + count)).toBe(30);
    const { stdout } = await runCli(['evaluate', model, photos]);
    expect(stdout).toMatch(/^accuracy 0\.9|^accuracy 1\./);
    expect(stdout).toMatch(/class +precision +recall +F1 +images/);
    expect(stdout).toMatch(/class \\ prediction +blue +green +red/);
  });

  test('evaluate wants the classes of the model', async () => {
    const other = join(folder, 'other');
    cpSync(join(photos, 'red'), join(other, 'purple'), { recursive: true });
    const { code, json } = await runCliJson<Failure>(['evaluate', model, other]);
    expect(code).toBe(1);
    expect(json.error).toMatchObject({ code: 'ERR_VALUE', message: expect.stringContaining('purple') });
    expect(json.error.message).toContain('blue, green, red');
  });

  test('predict names the classes of an image, the most probable first', async () => {
    const image = join(photos, 'green/00.png');
    const { code, json } = await runCliJson<{
      predictions: { image: string; classes: { className: string; probability: number }[] }[];
    }>(['predict', model, image]);
    expect(code).toBe(0);
    const [prediction] = json.predictions;
    expect(prediction!.image).toBe(image);
    expect(prediction!.classes[0]!.className).toBe('green');
    expect(prediction!.classes.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 5);
    const { stdout } = await runCli(['predict', model, image, '--top', '1']);
    expect(stdout).toMatch(/00\.png: green \d+\.\d %\n$/);
  });

  test('predict names images that are none, goes on with the others, and exits with 1', async () => {
    const broken = join(folder, 'broken.jpg');
    writeFileSync(broken, 'no image');
    const images = [broken, join(folder, 'missing.png'), join(photos, 'red/03.png')];
    const { code, stdout, stderr } = await runCli(['predict', model, ...images]);
    expect(code).toBe(1);
    expect(stdout).toContain(`${images[2]}: red`);
    expect(stderr).toContain(broken);
    expect(stderr).toContain('missing.png');
    expect(stdout + stderr).not.toMatch(/\n\s+at /);
  });

  test('summary prints the layers and counts the parameters', async () => {
    const { code, json } = await runCliJson<{ parameters: number; trainable: number; size: number }>([
      'summary',
      model,
    ]);
    expect(code).toBe(0);
    expect(json).toMatchObject({ size: 16, classNames: ['blue', 'green', 'red'] });
    expect(json.trainable).toBeLessThan(json.parameters);
    const { stdout } = await runCli(['summary', model]);
    expect(stdout).toContain('Conv2D');
    expect(stdout).toContain('Total params');
    // The file alone, which any `model.save` writes.
    const file = await runCliJson<object>(['summary', join(model, 'model.safetensors')]);
    expect(file).toMatchObject({ code: 0, json: { parameters: json.parameters, trainable: json.trainable } });
  });

  test('the same seed gives the same model, with any number of threads', async () => {
    const again = join(folder, 'again');
    const { json } = await runCliJson<Trained>([
      'train',
      photos,
      '--out',
      again,
      '--epochs',
      '20',
      ...quick,
      '--threads',
      '3',
    ]);
    expect(json.history).toEqual(trained.json.history);
  });

  test('--resume goes on where a shorter run ended', async () => {
    const resumed = join(folder, 'resumed');
    cpSync(model, resumed, { recursive: true });
    const { code, json } = await runCliJson<Trained>(['train', photos, '--out', resumed, '--resume', '--epochs', '22']);
    expect(code).toBe(0);
    expect(json.epochs).toBe(22);
    expect(json.history['loss']).toHaveLength(22);
    expect(json.history['loss']!.slice(0, 20)).toEqual(trained.json.history['loss']);
  });

  test('Ctrl-C saves what was learnt and exits with 0; --resume finishes the run', async () => {
    const out = join(folder, 'interrupted');
    const args = ['train', photos, '--out', out, '--epochs', '2000', ...quick];
    const { code, json } = await runCliJson<Trained>(args, {
      onSpawn: (child) => {
        let seen = '';
        let interrupted = false;
        child.stderr!.on('data', (chunk: Buffer) => {
          seen += chunk.toString();
          if (interrupted || !/Epoch +3\//.test(seen)) return;
          interrupted = child.kill('SIGINT');
        });
      },
    });
    expect(code).toBe(0);
    expect(json.interrupted).toBe(true);
    expect(json.epochs).toBeGreaterThanOrEqual(3);
    expect(json.epochs).toBeLessThan(2000);
    const epochs = json.epochs + 2;
    const resumed = await runCliJson<Trained>(['train', photos, '--out', out, '--resume', '--epochs', String(epochs)]);
    expect(resumed.code).toBe(0);
    expect(resumed.json).toMatchObject({ epochs, interrupted: false });
  });

  test('--early-stopping ends a run that no longer improves', async () => {
    const out = join(folder, 'stopped');
    const args = ['train', photos, '--out', out, '--epochs', '500', '--early-stopping', '1', ...quick];
    const { code, json } = await runCliJson<Trained>(args);
    expect(code).toBe(0);
    expect(json.epochs).toBeLessThan(500);
    expect(json.stopReason).toContain('val_loss');
  });

  test('a corrupt photo is named; with --skip-corrupt it is left out', async () => {
    const damaged = join(folder, 'damaged');
    cpSync(photos, damaged, { recursive: true });
    const bad = join(damaged, 'red/bad.jpg');
    writeFileSync(bad, readFileSync(join(photos, 'red/00.png')).subarray(0, 60));
    const args = [
      'train',
      damaged,
      '--out',
      join(folder, 'skipping'),
      '--epochs',
      '1',
      '--validation-split',
      '0',
      ...quick,
    ];
    const failed = await runCliJson<Failure>(args);
    expect(failed.code).toBe(1);
    expect(failed.json.error).toMatchObject({ code: 'ERR_FORMAT', message: expect.stringContaining(bad) });
    const skipped = await runCliJson<Trained>([...args, '--skip-corrupt']);
    expect(skipped.code).toBe(0);
    expect(skipped.json.images.skipped).toEqual([bad]);
    expect(skipped.stderr).toContain(bad);
  });

  test('a folder that is no model is never overwritten', async () => {
    const precious = join(folder, 'precious');
    mkdirSync(precious);
    writeFileSync(join(precious, 'thesis.txt'), 'years of work');
    const { code, json } = await runCliJson<Failure>(['train', photos, '--out', precious, '--epochs', '1', ...quick]);
    expect(code).toBe(1);
    expect(json.error.message).toContain('precious');
    expect(readdirSync(precious)).toEqual(['thesis.txt']);
  });
});

describe('bad input', () => {
  test.each([
    [['train', 'nowhere'], /nowhere/],
    [['evaluate', 'nowhere', '.'], /nowhere/],
    [['predict', 'nowhere', 'a.png'], /nowhere/],
    [['summary', '.'], /classifier\.json/],
  ])('%j fails with a message and without a stack trace', async (args, message) => {
    const { code, stdout, stderr } = await runCli(args, { cwd: folder });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(existsSync(join(folder, 'nowhere'))).toBe(false);
  });

  test.each([
    [['train'], "missing required argument 'dir'"],
    [['train', 'photos', '--epochs', '0'], 'It must be a whole number of at least 1.'],
    [['train', 'photos', '--epochs', 'ten'], 'It must be a whole number of at least 1.'],
    [['train', 'photos', '--validation-split', '1'], 'below 1'],
    [['train', 'photos', '--optimizer', 'magic'], 'Allowed choices are adam'],
    [['train', 'photos', '--epoch', '3'], 'Did you mean --epochs?'],
    [['train', 'photos', '--leaning-rate', '3'], 'Did you mean --learning-rate?'],
    [['predict', 'model'], "missing required argument 'images'"],
    [['predict', 'model', 'a.png', '--top', '-1'], 'It must be a whole number of at least 1.'],
    [['evaluate', 'model', 'photos', 'more'], 'too many arguments'],
    [['bench', 'all'], 'Allowed choices are ops, train'],
  ])('%j is a wrong command line', async (args, message) => {
    const { code, stdout, stderr } = await runCli(args, { cwd: folder });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
  });
});
