import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runCliJson } from '../support/cli';
import { temporaryFolder } from '../support/files';
import { describeWithData } from '../support/sharedData';

describeWithData('on photos of hands', 'sign-digits', (data) => {
  test('train, evaluate and predict work with their defaults', { timeout: 600_000 }, async () => {
    const model = join(temporaryFolder(), 'hands');
    const trained = await runCliJson<{ images: object }>(['train', join(data, 'train'), '--out', model]);
    expect(trained.code, trained.stderr).toBe(0);
    expect(trained.json.images).toEqual({ training: 360, validation: 40, skipped: [] });

    const evaluated = await runCliJson<{ accuracy: number }>(['evaluate', model, join(data, 'test')]);
    expect(evaluated.json.accuracy).toBeGreaterThanOrEqual(0.85);

    const three = join(data, 'test/3');
    const photos = readdirSync(three).map((name) => join(three, name));
    const predicted = await runCliJson<{ predictions: { classes: { className: string }[] }[] }>([
      'predict',
      model,
      ...photos,
    ]);
    const right = predicted.json.predictions.filter(({ classes }) => classes[0]!.className === '3');
    expect(right.length).toBeGreaterThan(photos.length / 2);
  });
});
