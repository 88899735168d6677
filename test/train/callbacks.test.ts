import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CallbackList, type Callback, type Logs, type TrainingRun } from '../../lib/train/callback';
import {
  CSVLogger,
  EarlyStopping,
  LambdaCallback,
  LearningRateScheduler,
  ModelCheckpoint,
  ReduceLROnPlateau,
  TerminateOnNaN,
} from '../../lib/train/callbacks';
import { History, type Outcome } from '../../lib/train/history';
import { errorOf } from '../support/compare';
import { rejectionOf, temporaryFolder } from '../support/files';

/** A run that trains nothing: its weights are the number of the epoch. */
class FakeRun implements TrainingRun {
  epochs = 100;
  initialEpoch = 0;
  steps = 1;
  batchSize = 1;
  learningRate = 1;
  outcome: Outcome | undefined;
  reason: string | undefined;
  weights = -1;
  copies = 0;
  saved: [path: string, weightsOnly: boolean | undefined][] = [];

  stop(reason: string): void {
    this.reason ??= reason;
  }

  copyWeights() {
    const copy = this.weights;
    this.copies += 1;
    return { restore: () => (this.weights = copy), dispose: () => (this.copies -= 1) } as never;
  }

  async save(path: string, { weightsOnly }: { weightsOnly?: boolean } = {}): Promise<void> {
    this.saved.push([path, weightsOnly]);
  }
}

/** Runs epochs with these logs until a callback stops; returns the number of epochs that ran. */
async function train(run: FakeRun, callback: Callback, epochs: readonly Logs[], outcome?: Outcome): Promise<number> {
  const list = new CallbackList([callback], run);
  await list.trainBegin();
  let count = 0;
  for (const [epoch, logs] of epochs.entries()) {
    await list.epochBegin(epoch);
    run.weights = epoch;
    await list.epochEnd(epoch, logs);
    count += 1;
    if (run.reason !== undefined) break;
  }
  run.outcome = outcome ?? (run.reason === undefined ? 'completed' : 'stopped');
  await list.trainEnd();
  return count;
}

const losses = (...values: number[]): Logs[] => values.map((val_loss) => ({ val_loss }));

describe('EarlyStopping', () => {
  test('stops after `patience` epochs without improvement', async () => {
    const run = new FakeRun();
    const stopping = new EarlyStopping({ patience: 2 });
    expect(await train(run, stopping, losses(5, 3, 4, 3, 1))).toBe(4);
    expect(stopping).toMatchObject({ best: 3, bestEpoch: 1, stoppedEpoch: 3 });
    expect(run.reason).toContain('val_loss has not improved for 2 epochs');
  });

  test('an improvement starts the count anew, NaN is none, and minDelta has to be exceeded', async () => {
    expect(await train(new FakeRun(), new EarlyStopping({ patience: 2 }), losses(5, 6, 4, 6, NaN, 1))).toBe(5);
    expect(await train(new FakeRun(), new EarlyStopping({ patience: 1, minDelta: 1 }), losses(5, 4, 3))).toBe(2);
    expect(await train(new FakeRun(), new EarlyStopping({ patience: 1, minDelta: 1 }), losses(5, 3.5, 2))).toBe(3);
  });

  test('more is better for accuracies, and where asked for', async () => {
    const epochs = [1, 2, 3, 2].map((value) => ({ val_accuracy: value, score: value }));
    for (const options of [{ monitor: 'val_accuracy' }, { monitor: 'score', mode: 'max' } as const]) {
      expect(await train(new FakeRun(), new EarlyStopping(options), epochs)).toBe(4);
    }
    expect(await train(new FakeRun(), new EarlyStopping({ monitor: 'score' }), epochs)).toBe(2);
  });

  test('a baseline has to be beaten, and nothing is watched before startFromEpoch', async () => {
    expect(await train(new FakeRun(), new EarlyStopping({ baseline: 2 }), losses(1, 3))).toBe(2);
    expect(await train(new FakeRun(), new EarlyStopping({ baseline: 2 }), losses(3, 1))).toBe(1);
    expect(await train(new FakeRun(), new EarlyStopping({ startFromEpoch: 2 }), losses(1, 2, 9, 8, 9))).toBe(5);
  });

  test.each([
    ['stopped', losses(5, 3, 4), undefined, 1],
    ['completed', losses(5, 3, 3.5), undefined, 1],
    ['aborted', losses(5, 3, 3.5), 'aborted', 2],
    ['failed', losses(5, 3, 3.5), 'failed', 2],
  ] as const)('restores the best weights when the run %s as it should', async (_, epochs, outcome, weights) => {
    const run = new FakeRun();
    const patience = outcome === undefined && epochs[2]!['val_loss'] === 4 ? 1 : 5;
    await train(run, new EarlyStopping({ patience, restoreBestWeights: true }), epochs, outcome);
    expect(run.weights).toBe(weights);
    expect(run.copies).toBe(0);
  });

  test('names a monitor that is not there', async () => {
    const missing = await rejectionOf(train(new FakeRun(), new EarlyStopping(), [{ loss: 1, accuracy: 1 }]));
    expect(missing).toMatchObject({ code: 'ERR_VALUE' });
    expect(missing.message).toContain("'val_loss' is not in the logs, which have loss, accuracy; pass validationData");
    const typo = train(new FakeRun(), new EarlyStopping({ monitor: 'acuracy' }), [{ loss: 1, accuracy: 1 }]);
    expect((await rejectionOf(typo)).message).toContain("did you mean 'accuracy'?");
    expect(errorOf(() => new EarlyStopping({ mode: 'less' as 'min' })).message).toContain("'min' or 'max'");
    expect(errorOf(() => new EarlyStopping({ patience: -1 })).message).toContain('patience');
  });
});

describe('learning rates', () => {
  test('LearningRateScheduler sets the rate of every epoch', async () => {
    const run = new FakeRun();
    const epochs: Logs[] = [{}, {}, {}];
    await train(run, new LearningRateScheduler((epoch, rate) => (epoch === 0 ? 0.5 : rate / 10)), epochs);
    expect(epochs).toEqual([{ lr: 0.5 }, { lr: 0.05 }, { lr: 0.005 }]);
    const wrong = train(run, new LearningRateScheduler(() => NaN), [{}]);
    expect((await rejectionOf(wrong)).message).toContain('gave NaN for epoch 0');
  });

  test('ReduceLROnPlateau waits, reduces, cools down, and has a floor', async () => {
    const run = new FakeRun();
    const epochs = losses(5, 5, 5, 5, 5, 5, 5, 5, 4, 4, 4);
    const options = { patience: 2, cooldown: 1, factor: 0.1, minLearningRate: 0.005 };
    await train(run, new ReduceLROnPlateau(options), epochs);
    expect(epochs.map((logs) => logs['lr'])).toEqual([
      1,
      1,
      1,
      0.1,
      0.1,
      0.1 * 0.1,
      0.1 * 0.1,
      0.005,
      0.005,
      0.005,
      0.005,
    ]);
    expect(errorOf(() => new ReduceLROnPlateau({ factor: 1 })).message).toContain('factor');
  });
});

describe('ModelCheckpoint', () => {
  test('writes every epoch, or the best ones, to names made from the logs', async () => {
    const every = new FakeRun();
    await train(every, new ModelCheckpoint('m-{epoch}-{val_loss}-{other}.safetensors'), losses(2, 0.5));
    expect(every.saved).toEqual([
      ['m-01-2.0000-{other}.safetensors', false],
      ['m-02-0.5000-{other}.safetensors', false],
    ]);
    const best = new FakeRun();
    const checkpoint = new ModelCheckpoint((epoch) => `${epoch}`, { saveBestOnly: true, saveWeightsOnly: true });
    await train(best, checkpoint, losses(2, 3, 1, 1));
    expect(best.saved).toEqual([
      ['0', true],
      ['2', true],
    ]);
    expect(checkpoint.lastPath).toBe('2');
  });
});

describe('CSVLogger', () => {
  const folder = temporaryFolder();

  test('writes a header and a line an epoch; appends when asked', async () => {
    const path = join(folder, 'log.csv');
    writeFileSync(path, 'of an earlier run\n');
    await train(new FakeRun(), new CSVLogger(path), [{ loss: 0.5, accuracy: 1 }, { loss: NaN }]);
    expect(readFileSync(path, 'utf8')).toBe('epoch,accuracy,loss\n0,1,0.5\n1,,NaN\n');
    await train(new FakeRun(), new CSVLogger(path, { append: true }), [{ loss: 0.25, accuracy: 0 }]);
    expect(readFileSync(path, 'utf8')).toBe('epoch,accuracy,loss\n0,1,0.5\n1,,NaN\n0,0,0.25\n');
  });

  test('quotes what has the separator in it', async () => {
    const path = join(folder, 'quoted.csv');
    await train(new FakeRun(), new CSVLogger(path, { separator: ';' }), [{ 'a;"b"': 1 }]);
    expect(readFileSync(path, 'utf8')).toBe('epoch;"a;""b"""\n0;1\n');
  });
});

describe('the list of callbacks', () => {
  test('TerminateOnNaN stops at a loss that is not finite', async () => {
    for (const loss of [NaN, Infinity]) {
      const run = new FakeRun();
      new TerminateOnNaN().onBatchEnd(7, { loss }, run);
      expect(run.reason).toBe(`the loss is ${loss} at step 7`);
    }
    const run = new FakeRun();
    new TerminateOnNaN().onBatchEnd(7, { loss: 1e30 }, run);
    expect(run.reason).toBeUndefined();
  });

  test('every callback that began gets its end, and the first failure comes out', async () => {
    const calls: string[] = [];
    const named = (name: string, fails = false): Callback =>
      new LambdaCallback({
        onTrainBegin: () => void calls.push(`${name} begins`),
        onTrainEnd: async () => {
          calls.push(`${name} ends`);
          if (fails) throw new Error(`${name} failed`);
        },
      });
    const refuses: Callback = {
      onTrainBegin: () => {
        throw new Error('no');
      },
    };
    const list = new CallbackList([named('a', true), named('b', true), refuses, named('c')], new FakeRun());
    expect((await rejectionOf(list.trainBegin())).message).toBe('no');
    expect((await rejectionOf(list.trainEnd())).message).toBe('a failed');
    expect(calls).toEqual(['a begins', 'b begins', 'a ends', 'b ends']);
  });

  test('the history keeps epochs aligned when a value comes late or is missing', () => {
    const history = new History();
    history.add(0, { loss: 1 });
    history.add(1, { loss: 2, val_loss: 3 });
    history.add(2, { val_loss: 4 });
    expect(history.epoch).toEqual([0, 1, 2]);
    expect(history.history).toEqual({ loss: [1, 2, NaN], val_loss: [NaN, 3, 4] });
  });
});
