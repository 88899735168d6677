import { copyFileSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../support/cli';
import { runExample, startExample } from '../support/examples';
import { temporaryFolder } from '../support/files';
import { paintPhotos } from '../support/photos';
import { describeWithData } from '../support/sharedData';

const files = resolve(__dirname, '../fixtures/files');

function accuracyIn(stdout: string): number {
  return Number(/test accuracy: (\d+\.\d) %/.exec(stdout)?.[1]);
}

describe('the CIFAR-10 examples', () => {
  const cifar = temporaryFolder();
  beforeAll(() => {
    for (const name of ['train.bin', 'test.bin']) copyFileSync(join(files, 'cifar10.bin'), join(cifar, name));
  });

  test('keras-cnn prints the summary, trains and measures', async () => {
    const { code, stdout, stderr } = await runExample('keras-cnn', '--data', cifar, '--epochs', '2');
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('Total params: 167,562');
    expect(stderr).toMatch(/Epoch 2\/2 .*loss .*accuracy/);
    expect(accuracyIn(stdout)).toBeGreaterThanOrEqual(0);
  });

  test('simple-cnn prints the tree, trains on 28×28 and measures', async () => {
    const { code, stdout, stderr } = await runExample('simple-cnn', '--data', cifar, '--epochs', '2');
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('(fc1): Linear(in_features=2304, out_features=64, bias=True)');
    expect(stderr).toMatch(/Epoch 2\/2 .*loss .*accuracy/);
    expect(accuracyIn(stdout)).toBeGreaterThanOrEqual(0);
  });

  test('simple-cnn on 32×32 says what fc1 got, what it wanted, and who flattened what', async () => {
    const { code, stderr } = await runExample('simple-cnn', '--data', cifar, '--size', '32');
    expect(code).toBe(1);
    expect(stderr).toContain('SimpleCNN.fc1 (Linear): got 3136 features, wanted 2304');
    expect(stderr).toMatch(/view\(\[-1, 2304\]\).*\[\d+, 7, 7, 64\], the output of SimpleCNN\.pool/);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test('name a folder that has no such data', async () => {
    const { code, stderr } = await runExample('keras-cnn', '--data', files);
    expect(code).toBe(1);
    expect(stderr).toContain(`${files} has no file data_batch_1.bin`);
  });
});

describe('the server', () => {
  test('says what an image shows, refuses what is none, and goes on', async () => {
    const folder = temporaryFolder();
    const photos = await paintPhotos(join(folder, 'photos'));
    const model = join(folder, 'model');
    await runCli(['train', photos, '--out', model, '--size', '16', '--epochs', '20', '--no-augment']);
    const server = startExample('server', '--model', model, '--port', '0');
    try {
      const { value: line } = (await createInterface({ input: server.stdout! })[Symbol.asyncIterator]().next()) as {
        value: string;
      };
      const url = `http://localhost:${/port (\d+)/.exec(line)?.[1]}`;
      const post = (body: Uint8Array<ArrayBuffer>) => fetch(url, { method: 'POST', body });

      const refused = await post(Buffer.from('no image'));
      expect(refused.status).toBe(400);
      expect(await refused.json()).toEqual({ error: expect.stringContaining('cannot be decoded') });

      const answers = await Promise.all(
        ['red', 'green', 'blue'].map(async (name) => {
          const response = await post(Buffer.from(readFileSync(join(photos, name, '00.png'))));
          expect(response.status).toBe(200);
          const probabilities = Object.entries((await response.json()) as Record<string, number>);
          return probabilities.sort(([, a], [, b]) => b - a)[0]![0];
        }),
      );
      expect(answers).toEqual(['red', 'green', 'blue']);
    } finally {
      server.kill();
    }
  });
});

describeWithData('on real CIFAR-10 images', 'cifar10', (folder) => {
  test.each(['keras-cnn', 'simple-cnn'])(
    '%s beats chance by far after an epoch',
    { timeout: 300_000 },
    async (name) => {
      const { code, stdout, stderr } = await runExample(name, '--data', folder, '--epochs', '1');
      expect(code, stderr).toBe(0);
      expect(accuracyIn(stdout)).toBeGreaterThan(20);
    },
  );
});

describeWithData('on real MNIST images', 'mnist', (folder) => {
  test('mnist reaches 97 %', { timeout: 300_000 }, async () => {
    const { code, stdout, stderr } = await runExample('mnist', '--data', folder);
    expect(code, stderr).toBe(0);
    expect(accuracyIn(stdout)).toBeGreaterThanOrEqual(97);
  });
});
