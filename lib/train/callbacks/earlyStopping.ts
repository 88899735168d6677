import { ConvgradError } from '../../errors';
import type { Callback, Logs, TrainingRun, WeightsCopy } from '../callback';
import { Monitor, type MonitorOptions } from './monitor';

export interface EarlyStoppingOptions extends MonitorOptions {
  /** Epochs without improvement after which training stops. Default 0: at the first one. */
  patience?: number;
  /** Ends the run with the weights of the best epoch. Default false: with those of the last one. */
  restoreBestWeights?: boolean;
  /** What has to be beaten at least. Default: anything is an improvement at first. */
  baseline?: number;
  /** Epochs before which nothing is watched. Default 0. */
  startFromEpoch?: number;
}

/**
 * Stops training when a value has stopped improving. With `restoreBestWeights` the best weights are restored at the end
 * of the run, also when all epochs were run; not when it was aborted or failed.
 */
export class EarlyStopping implements Callback {
  /** The epoch with the best value. */
  bestEpoch: number | undefined;
  /** The epoch after which this callback ended the run; undefined when it did not. */
  stoppedEpoch: number | undefined;
  private readonly monitor: Monitor;
  private waited = 0;
  private bestWeights: WeightsCopy | undefined;

  constructor(private readonly options: EarlyStoppingOptions = {}) {
    this.monitor = new Monitor(options, 'EarlyStopping');
    const { patience = 0 } = options;
    if (!(patience >= 0)) {
      throw new ConvgradError('ERR_VALUE', `EarlyStopping: patience must be at least 0, got ${patience}`);
    }
  }

  /** The best value so far. */
  get best(): number {
    return this.monitor.best;
  }

  onTrainBegin(): void {
    this.monitor.reset();
    if (this.options.baseline !== undefined) this.monitor.best = this.options.baseline;
    this.waited = 0;
    this.bestEpoch = this.stoppedEpoch = undefined;
  }

  onEpochEnd(epoch: number, logs: Logs, run: TrainingRun): void {
    const { patience = 0, restoreBestWeights = false, startFromEpoch = 0 } = this.options;
    const value = this.monitor.read(logs);
    if (epoch < startFromEpoch) return;
    if (this.monitor.improves(value)) {
      this.waited = 0;
      this.bestEpoch = epoch;
      if (!restoreBestWeights) return;
      this.bestWeights?.dispose();
      this.bestWeights = run.copyWeights();
    } else if (++this.waited >= patience) {
      this.stoppedEpoch = epoch;
      run.stop(`${this.monitor.name} has not improved for ${this.waited} epochs; the best was ${this.best}`);
    }
  }

  onTrainEnd(run: TrainingRun): void {
    if (run.outcome === 'completed' || run.outcome === 'stopped') this.bestWeights?.restore();
    this.bestWeights?.dispose();
    this.bestWeights = undefined;
  }
}
