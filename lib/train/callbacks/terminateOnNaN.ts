import type { Callback, Logs, TrainingRun } from '../callback';

/** Ends the run when the loss is not a finite number any more: nothing can be learned from there on. */
export class TerminateOnNaN implements Callback {
  onBatchEnd(step: number, logs: Readonly<Logs>, run: TrainingRun): void {
    const loss = logs['loss'];
    if (!Number.isFinite(loss)) run.stop(`the loss is ${loss} at step ${step}`);
  }
}
