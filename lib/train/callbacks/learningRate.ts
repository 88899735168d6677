import { ConvgradError } from '../../errors';
import type { Callback, Logs, TrainingRun } from '../callback';
import { Monitor, type MonitorOptions } from './monitor';

/** Sets the learning rate at the beginning of every epoch, and adds it to the history as `lr`. */
export class LearningRateScheduler implements Callback {
  /** @param schedule gives the rate for an epoch (counted from 0) from the rate of the one before */
  constructor(private readonly schedule: (epoch: number, learningRate: number) => number) {}

  onEpochBegin(epoch: number, run: TrainingRun): void {
    const rate = this.schedule(epoch, run.learningRate);
    if (!(rate >= 0 && rate < Infinity)) {
      throw new ConvgradError('ERR_VALUE', `LearningRateScheduler: the schedule gave ${rate} for epoch ${epoch}`);
    }
    run.learningRate = rate;
  }

  onEpochEnd(_epoch: number, logs: Logs, run: TrainingRun): void {
    logs['lr'] = run.learningRate;
  }
}

export interface ReduceLROnPlateauOptions extends MonitorOptions {
  /** What the rate is multiplied by. Default 0.1. */
  factor?: number;
  /** Epochs without improvement before that happens. Default 10. */
  patience?: number;
  /** Epochs after that in which nothing is counted. Default 0. */
  cooldown?: number;
  /** Default 0. */
  minLearningRate?: number;
}

/** Lowers the learning rate when a value has stopped improving, and adds the rate to the history as `lr`. */
export class ReduceLROnPlateau implements Callback {
  private readonly monitor: Monitor;
  private waited = 0;
  private coolingDown = 0;

  constructor(private readonly options: ReduceLROnPlateauOptions = {}) {
    this.monitor = new Monitor({ minDelta: 1e-4, ...options }, 'ReduceLROnPlateau');
    const { factor = 0.1 } = options;
    if (!(factor > 0 && factor < 1)) {
      throw new ConvgradError('ERR_VALUE', `ReduceLROnPlateau: factor must be between 0 and 1, got ${factor}`);
    }
  }

  onTrainBegin(): void {
    this.monitor.reset();
    this.waited = this.coolingDown = 0;
  }

  onEpochEnd(_epoch: number, logs: Logs, run: TrainingRun): void {
    const { factor = 0.1, patience = 10, cooldown = 0, minLearningRate = 0 } = this.options;
    const value = this.monitor.read(logs);
    logs['lr'] = run.learningRate;
    if (this.coolingDown > 0) {
      this.coolingDown -= 1;
      this.waited = 0;
    }
    if (this.monitor.improves(value)) {
      this.waited = 0;
    } else if (this.coolingDown === 0 && ++this.waited >= patience && run.learningRate > minLearningRate) {
      run.learningRate = Math.max(run.learningRate * factor, minLearningRate);
      this.coolingDown = cooldown;
      this.waited = 0;
    }
  }
}
