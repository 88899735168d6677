import type { Logs } from './callback';

/** How a training run ended. */
export type Outcome = 'completed' | 'stopped' | 'aborted' | 'failed';

/** What `fit` resolves with: the losses and metrics of every epoch. */
export class History {
  /** The epochs that ran to their end, counted from 0. */
  readonly epoch: number[] = [];
  /** By name, a value for each of these epochs: `loss`, the metrics, and `val_…` of the validation data. */
  readonly history: Record<string, number[]> = {};
  /** Whether the `signal` ended the run. The weights are those after the last whole step. */
  aborted = false;
  /** Why a callback ended the run early, if one did. */
  stopReason: string | undefined;

  /** @param params of the run: `epochs`, `steps` of an epoch, and `batchSize` where known */
  constructor(readonly params: Readonly<Record<string, number | undefined>> = {}) {}

  /** @internal Appends an epoch. A value that an epoch lacks is NaN there. */
  add(epoch: number, logs: Readonly<Logs>): void {
    for (const name of new Set([...Object.keys(this.history), ...Object.keys(logs)])) {
      const values = (this.history[name] ??= this.epoch.map(() => NaN));
      values.push(logs[name] ?? NaN);
    }
    this.epoch.push(epoch);
  }
}
