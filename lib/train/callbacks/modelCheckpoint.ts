import type { Callback, Logs, TrainingRun } from '../callback';
import { Monitor, type MonitorOptions } from './monitor';

export interface ModelCheckpointOptions extends MonitorOptions {
  /** Writes only when the monitored value is the best so far. Default false: after every epoch. */
  saveBestOnly?: boolean;
  /** Writes the weights without the optimizer. Default false: training can be resumed from the file. */
  saveWeightsOnly?: boolean;
}

/**
 * Writes the model after an epoch. Each file replaces an older one in one step: a crash leaves the old one whole.
 */
export class ModelCheckpoint implements Callback {
  /** The file that was written last. */
  lastPath: string | undefined;
  private readonly monitor: Monitor;

  /**
   * @param path a file, in which `{epoch}` (counted from 1) and names of logs such as `{val_loss}` are replaced by their
   *   values; or a function that gives one
   */
  constructor(
    private readonly path: string | ((epoch: number, logs: Readonly<Logs>) => string),
    private readonly options: ModelCheckpointOptions = {},
  ) {
    this.monitor = new Monitor(options, 'ModelCheckpoint');
  }

  async onEpochEnd(epoch: number, logs: Logs, run: TrainingRun): Promise<void> {
    const { saveBestOnly = false, saveWeightsOnly = false } = this.options;
    if (saveBestOnly && !this.monitor.improves(this.monitor.read(logs))) return;
    const path = typeof this.path === 'string' ? filled(this.path, epoch, logs) : this.path(epoch, logs);
    await run.save(path, { weightsOnly: saveWeightsOnly });
    this.lastPath = path;
  }
}

function filled(template: string, epoch: number, logs: Readonly<Logs>): string {
  return template.replace(/\{(\w+)\}/g, (placeholder, name: string) => {
    if (name === 'epoch') return String(epoch + 1).padStart(2, '0');
    return logs[name]?.toFixed(4) ?? placeholder;
  });
}
