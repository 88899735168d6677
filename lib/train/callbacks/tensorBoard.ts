import { join } from 'node:path';
import { ConvgradError } from '../../errors';
import type { Callback, Logs, TrainingRun } from '../callback';
import { TensorBoardWriter } from '../tensorboard';

export interface TensorBoardOptions {
  /** Writes the losses and metrics of every so many batches too, as `batch_…`. Default 0: only those of epochs. */
  batchFrequency?: number;
}

/**
 * Writes event files for TensorBoard, named as Keras names them: the folders `train` and `validation`, in each the curves
 * `epoch_loss`, `epoch_accuracy` and so on, so that both appear in one plot.
 */
export class TensorBoard implements Callback {
  private train: TensorBoardWriter | undefined;
  private validation: TensorBoardWriter | undefined;
  private batches = 0;

  /** @param folder a folder for this run; it is made where it is missing */
  constructor(
    private readonly folder: string,
    private readonly options: TensorBoardOptions = {},
  ) {
    const { batchFrequency = 0 } = options;
    if (!Number.isInteger(batchFrequency) || batchFrequency < 0) {
      throw new ConvgradError(
        'ERR_VALUE',
        `TensorBoard: batchFrequency must be an integer of at least 0, got ${batchFrequency}`,
      );
    }
  }

  async onTrainBegin(): Promise<void> {
    this.batches = 0;
    this.train = await TensorBoardWriter.open(join(this.folder, 'train'));
  }

  async onBatchEnd(_step: number, logs: Readonly<Logs>): Promise<void> {
    const { batchFrequency = 0 } = this.options;
    const batch = this.batches++;
    if (batchFrequency === 0 || batch % batchFrequency !== 0) return;
    for (const [name, value] of Object.entries(logs)) await this.train!.scalar(`batch_${name}`, value, batch);
  }

  async onEpochEnd(epoch: number, logs: Logs, run: TrainingRun): Promise<void> {
    for (const [name, value] of Object.entries({ learning_rate: run.learningRate, ...logs })) {
      if (!name.startsWith('val_')) {
        await this.train!.scalar(`epoch_${name}`, value, epoch);
        continue;
      }
      this.validation ??= await TensorBoardWriter.open(join(this.folder, 'validation'));
      await this.validation.scalar(`epoch_${name.slice('val_'.length)}`, value, epoch);
    }
  }

  async onTrainEnd(): Promise<void> {
    await this.train?.close();
    await this.validation?.close();
    this.train = this.validation = undefined;
  }
}
