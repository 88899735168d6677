import { describe, expect, test } from 'vitest';
import type { TrainingRun } from '../../lib/train/callback';
import { ProgressBar, progressFor } from '../../lib/train/progress';
import { errorOf } from '../support/compare';

const run = (steps: number | undefined): TrainingRun => ({ epochs: 12, steps, outcome: 'completed' }) as TrainingRun;

/** A stream that keeps what was written, and a clock that is set by hand. */
function screen(isTTY: boolean, columns = 200) {
  const state = { text: '', time: 0 };
  const stream = { isTTY, columns, write: (text: string) => (state.text += text) };
  return { state, stream, now: () => state.time };
}

function epoch(bar: ProgressBar, state: { time: number }, number: number, steps: number, known?: number): void {
  bar.onEpochBegin(number, run(known));
  for (let step = 0; step < steps; step++) {
    state.time += 500;
    bar.onBatchEnd(step, { loss: 0.5, accuracy: 0.25 }, run(known), 32);
  }
  bar.onEpochEnd(number, { loss: 0.5, accuracy: 0.25, val_loss: 0.00012 });
}

describe('progress', () => {
  test('on a terminal a bar is redrawn in place, with what is left, the speed and the metrics', () => {
    const { state, stream, now } = screen(true);
    epoch(new ProgressBar('auto', stream, now), state, 2, 4, 4);
    expect(state.text.split('\r\x1b[K').slice(1)).toEqual([
      'Epoch  3/12  1/4 ━━━━━━╸─────────────────  0.5 s, 1.5 s left, 64 images/s  loss 0.5000  accuracy 0.2500',
      'Epoch  3/12  2/4 ━━━━━━━━━━━━╸───────────  1.0 s, 1.0 s left, 64 images/s  loss 0.5000  accuracy 0.2500',
      'Epoch  3/12  3/4 ━━━━━━━━━━━━━━━━━━╸─────  1.5 s, 0.5 s left, 64 images/s  loss 0.5000  accuracy 0.2500',
      'Epoch  3/12  4/4 ━━━━━━━━━━━━━━━━━━━━━━━━  2.0 s, 0.0 s left, 64 images/s  loss 0.5000  accuracy 0.2500',
      'Epoch  3/12  2.0 s, 64 images/s  loss 0.5000  accuracy 0.2500  val_loss 1.200e-4\n',
    ]);
  });

  test('elsewhere, and with verbose 2, there is one line an epoch', () => {
    const [file, terminal] = [screen(false), screen(true)];
    epoch(new ProgressBar('auto', file.stream, file.now), file.state, 0, 3, 3);
    epoch(new ProgressBar(2, terminal.stream, terminal.now), terminal.state, 0, 3, 3);
    expect(file.state.text).toBe('Epoch  1/12  1.5 s, 64 images/s  loss 0.5000  accuracy 0.2500  val_loss 1.200e-4\n');
    expect(terminal.state.text).toBe(file.state.text);
  });

  test('a number of steps that is not known is learnt from the first epoch', () => {
    const { state, stream, now } = screen(true);
    const bar = new ProgressBar('auto', stream, now);
    epoch(bar, state, 0, 2);
    expect(state.text).toContain('Epoch  1/12  1 steps  0.5 s, 64 images/s');
    epoch(bar, state, 1, 2);
    expect(state.text).toContain('Epoch  2/12  1/2 ━━━━━━━━━━━━╸───────────  0.5 s, 0.5 s left');
  });

  test('frames come at most ten times a second and fit the terminal', () => {
    const { state, stream, now } = screen(true, 40);
    const bar = new ProgressBar('auto', stream, now);
    bar.onEpochBegin(0, run(1000));
    for (let step = 0; step < 100; step++) {
      state.time += 10;
      bar.onBatchEnd(step, { loss: 1 }, run(1000), 1);
    }
    const frames = state.text.split('\r\x1b[K').slice(1);
    expect(frames.length).toBe(10);
    for (const frame of frames) expect(frame.length).toBeLessThan(40);
  });

  test('a run that ends in the middle of an epoch leaves the cursor on a line of its own', () => {
    const { state, stream, now } = screen(true);
    const bar = new ProgressBar('auto', stream, now);
    bar.onEpochBegin(0, run(4));
    bar.onBatchEnd(0, { loss: 1 }, run(4), 1);
    bar.onTrainEnd({ ...run(4), outcome: 'aborted' });
    expect(state.text.endsWith('\n')).toBe(true);
  });

  test('long times are hours, minutes and seconds', () => {
    const { state, stream, now } = screen(true);
    const bar = new ProgressBar('auto', stream, now);
    bar.onEpochBegin(0, run(2));
    state.time = 3_725_000;
    bar.onBatchEnd(0, { loss: 1 }, run(2), 7450);
    expect(state.text).toContain('1:02:05, 1:02:05 left, 2.0 images/s');
  });

  test('verbose 0 is silent, and anything unknown is an error', () => {
    expect(progressFor(0)).toBeUndefined();
    expect(progressFor(false)).toBeUndefined();
    expect(progressFor('auto')).toBeInstanceOf(ProgressBar);
    expect(errorOf(() => progressFor(3 as 2)).message).toContain("verbose must be 0, 1, 2 or 'auto', got 3");
  });
});
