import { ConvgradError } from '../errors';
import type { Callback, Logs, TrainingRun } from './callback';

/**
 * 0: nothing. 1: a bar on a terminal, one line an epoch elsewhere. 2: one line an epoch everywhere. `auto` is 1.
 */
export type Verbose = 0 | 1 | 2 | 'auto';

/** What a progress bar is written to: a part of what `process.stderr` is. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const BAR_WIDTH = 24;
const FRAME_MILLISECONDS = 100;
/** Carriage return, then erase to the end of the line. */
const REDRAW = '\r\x1b[K';

/**
 * Shows how training gets on: on stderr, so that stdout stays the program's own.
 *
 *     Epoch 3/10  45/94 ━━━━━━━━━━━╸────────────  2.1 s, 2.3 s left, 1,371 images/s  loss 0.4321  accuracy 0.8730
 */
export class ProgressBar implements Callback {
  private readonly drawsBar: boolean;
  private epochLabel = '';
  private began = 0;
  private samples = 0;
  private lastFrame = -Infinity;
  private knownSteps: number | undefined;
  private stepsDone = 0;
  private trainingSeconds = 0;

  /** @param now the time in milliseconds, for tests */
  constructor(
    verbose: Exclude<Verbose, 0> = 'auto',
    private readonly stream: ProgressStream = process.stderr,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.drawsBar = verbose !== 2 && stream.isTTY === true;
  }

  onEpochBegin(epoch: number, run: TrainingRun): void {
    this.epochLabel = `Epoch ${String(epoch + 1).padStart(String(run.epochs).length)}/${run.epochs}`;
    this.began = this.now();
    this.samples = this.stepsDone = 0;
    this.trainingSeconds = 0;
    this.knownSteps = run.steps ?? this.knownSteps;
    this.lastFrame = -Infinity;
  }

  onBatchEnd(step: number, logs: Readonly<Logs>, _run: TrainingRun, size: number): void {
    this.samples += size;
    this.stepsDone = step + 1;
    const time = this.now();
    this.trainingSeconds = (time - this.began) / 1000;
    if (!this.drawsBar || time - this.lastFrame < FRAME_MILLISECONDS) return;
    this.lastFrame = time;
    this.stream.write(REDRAW + this.fitted(this.frame(logs)));
  }

  onEpochEnd(_epoch: number, logs: Logs): void {
    this.knownSteps = this.stepsDone;
    const seconds = (this.now() - this.began) / 1000;
    const line = `${this.epochLabel}  ${duration(seconds)}, ${this.rate()}  ${logsText(logs)}`;
    this.stream.write(`${this.drawsBar ? REDRAW : ''}${line}\n`);
  }

  onTrainEnd(run: TrainingRun): void {
    const isMidEpoch = run.outcome === 'aborted' || run.outcome === 'failed';
    if (this.drawsBar && isMidEpoch && this.lastFrame > -Infinity) this.stream.write('\n');
  }

  private frame(logs: Readonly<Logs>): string {
    const time = duration(this.trainingSeconds);
    if (this.knownSteps === undefined) {
      return `${this.epochLabel}  ${this.stepsDone} steps  ${time}, ${this.rate()}  ${logsText(logs)}`;
    }
    const fraction = Math.min(1, this.stepsDone / this.knownSteps);
    const left = duration((this.trainingSeconds / fraction) * (1 - fraction));
    const count = `${String(this.stepsDone).padStart(String(this.knownSteps).length)}/${this.knownSteps}`;
    return `${this.epochLabel}  ${count} ${bar(fraction)}  ${time}, ${left} left, ${this.rate()}  ${logsText(logs)}`;
  }

  private rate(): string {
    const rate = this.trainingSeconds > 0 ? this.samples / this.trainingSeconds : 0;
    return `${rate < 10 ? rate.toFixed(1) : Math.round(rate).toLocaleString('en-US')} images/s`;
  }

  /** A line that is wider than the terminal would wrap, and could not be redrawn. */
  private fitted(line: string): string {
    const columns = this.stream.columns ?? 80;
    return line.length < columns ? line : `${line.slice(0, Math.max(0, columns - 2))}…`;
  }
}

/** The progress bar that `verbose` asks for; undefined when it asks for silence. */
export function progressFor(verbose: Verbose | boolean): ProgressBar | undefined {
  const asked = typeof verbose === 'boolean' ? (verbose ? 1 : 0) : verbose;
  if (![0, 1, 2, 'auto'].includes(asked)) {
    throw new ConvgradError('ERR_VALUE', `fit: verbose must be 0, 1, 2 or 'auto', got ${String(verbose)}`);
  }
  return asked === 0 ? undefined : new ProgressBar(asked);
}

/** The part that is done is heavy and ends in a half stroke, so that the bar reads without colour. */
function bar(fraction: number): string {
  const done = Math.round(fraction * BAR_WIDTH);
  if (done === BAR_WIDTH) return '━'.repeat(BAR_WIDTH);
  return `${'━'.repeat(done)}╸${'─'.repeat(BAR_WIDTH - done - 1)}`;
}

function duration(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const twoDigits = (value: number): string => String(value).padStart(2, '0');
  return hours > 0 ? `${hours}:${twoDigits(minutes)}:${twoDigits(rest)}` : `${minutes}:${twoDigits(rest)}`;
}

/** `loss 0.4321  accuracy 0.8730` */
function logsText(logs: Readonly<Logs>): string {
  return Object.entries(logs)
    .map(
      ([name, value]) => `${name} ${value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(3) : value.toFixed(4)}`,
    )
    .join('  ');
}
