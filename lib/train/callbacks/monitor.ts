import { ConvgradError } from '../../errors';
import { nearest } from '../../names';
import type { Logs } from '../callback';

export interface MonitorOptions {
  /** The value to watch, as the logs name it. Default `val_loss`. */
  monitor?: string;
  /** Whether less or more is better. Default `auto`: more for accuracy, topK, precision, recall, f1 and auc. */
  mode?: 'auto' | 'min' | 'max';
  /** The least change that counts as an improvement. Default 0. */
  minDelta?: number;
}

/** Watches one value of the logs and knows its best so far. */
export class Monitor {
  readonly name: string;
  best: number;
  private readonly sign: 1 | -1; // of improvement
  private readonly minDelta: number;

  constructor(
    { monitor = 'val_loss', mode = 'auto', minDelta = 0 }: MonitorOptions,
    private readonly owner: string,
  ) {
    if (mode !== 'auto' && mode !== 'min' && mode !== 'max') {
      throw new ConvgradError('ERR_VALUE', `${owner}: mode must be 'auto', 'min' or 'max', got '${String(mode)}'`);
    }
    if (!(minDelta >= 0))
      throw new ConvgradError('ERR_VALUE', `${owner}: minDelta must be at least 0, got ${minDelta}`);
    this.name = monitor;
    this.minDelta = minDelta;
    const more =
      mode === 'max' || (mode === 'auto' && /(acc|accuracy|top_?k|precision|recall|f1|auc)\w*$/i.test(monitor));
    this.sign = more ? 1 : -1;
    this.best = this.sign * -Infinity;
  }

  /** Forgets the best value. */
  reset(): void {
    this.best = this.sign * -Infinity;
  }

  /**
   * The value in the logs.
   * @throws ERR_VALUE when it is not there, with what is
   */
  read(logs: Readonly<Logs>): number {
    const value = logs[this.name];
    if (value !== undefined) return value;
    const known = Object.keys(logs);
    const guess = nearest(this.name, known);
    const hint = this.name.startsWith('val_') && !known.some((name) => name.startsWith('val_'));
    throw new ConvgradError(
      'ERR_VALUE',
      `${this.owner}: monitor '${this.name}' is not in the logs, which have ${known.join(', ')}` +
        (hint ? '; pass validationData or validationSplit' : guess === undefined ? '' : `; did you mean '${guess}'?`),
    );
  }

  /** Whether the value beats the best so far, which it then is. NaN never does. */
  improves(value: number): boolean {
    const isBetter = this.sign * (value - this.best) > this.minDelta;
    if (isBetter) this.best = value;
    return isBetter;
  }
}
