import { ConvgradError } from '../errors';

/** What a schedule controls: an optimizer, or anything else with groups that have a learning rate. */
export interface Scheduled {
  readonly groups: readonly { lr: number }[];
}

/** Where a schedule is, to go on from there: see `loadStateDict`. */
export interface ScheduleState {
  lastStep: number;
  baseRates: number[];
  [more: string]: unknown;
}

/**
 * The base of schedules, which give the learning rate of every group as a function of the number of steps taken and of
 * the rate that the group began with. Call `step()` after each batch or after each epoch, whichever it counts.
 */
export abstract class Schedule {
  protected readonly baseRates: number[];
  /** Number of calls of `step()` so far. */
  lastStep = 0;

  constructor(protected readonly optimizer: Scheduled) {
    this.baseRates = optimizer.groups.map((group) => group.lr);
  }

  /** The rate after `step` steps of a group that began with `base`. */
  abstract rateAt(step: number, base: number): number;

  /** Goes on to the next rate. */
  step(): void {
    this.lastStep += 1;
    this.apply();
  }

  /** The rates in force, a group each. */
  get rates(): number[] {
    return this.optimizer.groups.map((group) => group.lr);
  }

  protected apply(): void {
    this.optimizer.groups.forEach((group, i) => (group.lr = this.rateAt(this.lastStep, this.baseRates[i]!)));
  }

  stateDict(): ScheduleState {
    return { lastStep: this.lastStep, baseRates: [...this.baseRates] };
  }

  loadStateDict(state: ScheduleState): void {
    if (state.baseRates.length !== this.baseRates.length) {
      throw new ConvgradError(
        'ERR_VALUE',
        `loadStateDict: the schedule has ${this.baseRates.length} groups, the state ${state.baseRates.length}`,
      );
    }
    this.lastStep = state.lastStep;
    this.baseRates.splice(0, Infinity, ...state.baseRates);
    this.apply();
  }
}

function positiveInteger(name: string, value: number): number {
  if (Number.isInteger(value) && value > 0) return value;
  throw new ConvgradError('ERR_VALUE', `${name} must be a positive integer, got ${value}`);
}

/** Multiplies the rate by gamma every `stepSize` steps. */
export class StepLR extends Schedule {
  private readonly stepSize: number;
  private readonly gamma: number;

  constructor(optimizer: Scheduled, { stepSize, gamma = 0.1 }: { stepSize: number; gamma?: number }) {
    super(optimizer);
    this.stepSize = positiveInteger('StepLR: stepSize', stepSize);
    this.gamma = gamma;
  }

  override rateAt(step: number, base: number): number {
    return base * this.gamma ** Math.floor(step / this.stepSize);
  }
}

/** Multiplies the rate by gamma in every step. */
export class ExponentialLR extends Schedule {
  private readonly gamma: number;

  constructor(optimizer: Scheduled, { gamma }: { gamma: number }) {
    super(optimizer);
    this.gamma = gamma;
  }

  override rateAt(step: number, base: number): number {
    return base * this.gamma ** step;
  }
}

/** Half a cosine from the rate to `minLr` within `totalSteps` steps; there it stays. */
export class CosineAnnealingLR extends Schedule {
  private readonly totalSteps: number;
  private readonly minLr: number;

  constructor(optimizer: Scheduled, { totalSteps, minLr = 0 }: { totalSteps: number; minLr?: number }) {
    super(optimizer);
    this.totalSteps = positiveInteger('CosineAnnealingLR: totalSteps', totalSteps);
    this.minLr = minLr;
  }

  override rateAt(step: number, base: number): number {
    const progress = Math.min(step / this.totalSteps, 1);
    return this.minLr + ((base - this.minLr) * (1 + Math.cos(Math.PI * progress))) / 2;
  }
}

export interface WarmupOptions {
  /** Steps until the full rate. */
  warmupSteps: number;
  /** What the first rate is of the full one. Default 0.1. */
  startFactor?: number;
  /** The schedule afterwards, which counts from there. Default: the rate stays. */
  after?: Schedule;
}

/** Raises the rate linearly to the full one, and then follows another schedule, if one is given. */
export class WarmupLR extends Schedule {
  private readonly warmupSteps: number;
  private readonly startFactor: number;
  private readonly after: Schedule | undefined;

  constructor(optimizer: Scheduled, { warmupSteps, startFactor = 0.1, after }: WarmupOptions) {
    super(optimizer);
    this.warmupSteps = positiveInteger('WarmupLR: warmupSteps', warmupSteps);
    this.startFactor = startFactor;
    this.after = after;
    this.apply();
  }

  override rateAt(step: number, base: number): number {
    if (step >= this.warmupSteps) return this.after?.rateAt(step - this.warmupSteps, base) ?? base;
    return base * (this.startFactor + (1 - this.startFactor) * (step / this.warmupSteps));
  }
}

export interface OneCycleOptions {
  /** The highest rate; the rates that the groups began with do not count. */
  maxLr: number;
  /** Steps of the whole cycle; the rate cannot be stepped further. */
  totalSteps: number;
  /** The part of the steps in which the rate rises. Default 0.3. */
  pctStart?: number;
  /** The form of the rise and the fall. Default 'cos'. */
  annealStrategy?: 'cos' | 'linear';
  /** The first rate is maxLr / divFactor. Default 25. */
  divFactor?: number;
  /** The last rate is the first one / finalDivFactor. Default 1e4. */
  finalDivFactor?: number;
  /** Falls as far as it rose in as many steps, and to the last rate after that. Default false. */
  threePhase?: boolean;
}

/** One rise and one long fall (Smith and Topin, 2018). PyTorch's formulas. */
export class OneCycleLR extends Schedule {
  private readonly totalSteps: number;
  private readonly linear: boolean;
  /** The steps at which the phases end, with the rates there. */
  private readonly marks: { step: number; rate: number }[];

  constructor(optimizer: Scheduled, options: OneCycleOptions) {
    super(optimizer);
    const { maxLr, totalSteps, pctStart = 0.3, divFactor = 25, finalDivFactor = 1e4, threePhase = false } = options;
    if (!(pctStart > 0 && pctStart < 1) || (threePhase && pctStart >= 0.5)) {
      throw new ConvgradError(
        'ERR_VALUE',
        `OneCycleLR: pctStart must be in (0, ${threePhase ? 0.5 : 1}), got ${pctStart}`,
      );
    }
    this.totalSteps = positiveInteger('OneCycleLR: totalSteps', totalSteps);
    this.linear = options.annealStrategy === 'linear';
    const first = maxLr / divFactor;
    const top = pctStart * totalSteps - 1;
    this.marks = [
      { step: 0, rate: first },
      { step: top, rate: maxLr },
      ...(threePhase ? [{ step: 2 * top, rate: first }] : []),
      { step: totalSteps - 1, rate: first / finalDivFactor },
    ];
    this.apply();
  }

  override rateAt(step: number): number {
    if (step >= this.totalSteps) {
      throw new ConvgradError('ERR_STATE', `OneCycleLR: step ${step} is past the end of its ${this.totalSteps} steps`);
    }
    const next = this.marks.findIndex((mark, i) => i > 0 && (step <= mark.step || i === this.marks.length - 1));
    const [from, to] = [this.marks[next - 1]!, this.marks[next]!];
    const progress = (step - from.step) / (to.step - from.step);
    return this.linear
      ? from.rate + (to.rate - from.rate) * progress
      : to.rate + ((from.rate - to.rate) / 2) * (1 + Math.cos(Math.PI * progress));
  }
}

export interface PlateauOptions {
  /** Whether the metric should fall or rise. Default 'min'. */
  mode?: 'min' | 'max';
  /** What the rate is multiplied by. Default 0.1. */
  factor?: number;
  /** Steps without improvement that are tolerated. Default 10. */
  patience?: number;
  /** What counts as an improvement: by that part of the best metric so far, or by that much. Default 1e-4. */
  threshold?: number;
  /** Default 'rel'. */
  thresholdMode?: 'rel' | 'abs';
  /** Steps after a change in which nothing is counted. Default 0. */
  cooldown?: number;
  /** Default 0. */
  minLr?: number;
}

/** Lowers the rate when a metric has stopped improving. PyTorch's rules. */
export class ReduceLROnPlateau {
  private best: number;
  private waited = 0;
  private coolingDown = 0;
  private readonly options: Required<PlateauOptions>;

  constructor(
    private readonly optimizer: Scheduled,
    options: PlateauOptions = {},
  ) {
    this.options = {
      mode: 'min',
      factor: 0.1,
      patience: 10,
      threshold: 1e-4,
      thresholdMode: 'rel',
      cooldown: 0,
      minLr: 0,
      ...options,
    };
    const { factor, mode } = this.options;
    if (!(factor > 0 && factor < 1)) {
      throw new ConvgradError('ERR_VALUE', `ReduceLROnPlateau: factor must be in (0, 1), got ${factor}`);
    }
    this.best = mode === 'min' ? Infinity : -Infinity;
  }

  /** @param metric its value after this step */
  step(metric: number): void {
    const { factor, patience, cooldown, minLr } = this.options;
    if (this.improves(metric)) {
      this.best = metric;
      this.waited = 0;
    } else {
      this.waited += 1;
    }
    if (this.coolingDown > 0) {
      this.coolingDown -= 1;
      this.waited = 0;
    }
    if (this.waited > patience) {
      for (const group of this.optimizer.groups) group.lr = Math.max(group.lr * factor, minLr);
      this.coolingDown = cooldown;
      this.waited = 0;
    }
  }

  private improves(metric: number): boolean {
    const { mode, threshold, thresholdMode } = this.options;
    const margin = thresholdMode === 'abs' ? threshold : threshold * this.best;
    if (mode === 'min') return metric < (Number.isFinite(this.best) ? this.best - margin : this.best);
    return metric > (Number.isFinite(this.best) ? this.best + margin : this.best);
  }

  stateDict(): { best: number; waited: number; coolingDown: number } {
    const { best, waited, coolingDown } = this;
    return { best, waited, coolingDown };
  }

  loadStateDict(state: { best: number; waited: number; coolingDown: number }): void {
    Object.assign(this, { best: state.best, waited: state.waited, coolingDown: state.coolingDown });
  }
}
