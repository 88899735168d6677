import { describe, expect, it } from 'vitest';
import { optim } from '../../lib';
import { loadCases, typedData } from '../fixtures/load';
import { errorOf, expectClose } from '../support/compare';

type Stepped = { step(metric: number): void };
type Config = Record<string, number> & {
  annealStrategy: 'cos' | 'linear';
  threePhase: boolean;
  mode: 'min' | 'max';
  thresholdMode: 'rel' | 'abs';
};

const make: Record<string, (optimizer: optim.Scheduled, c: Config) => Stepped> = {
  stepLR: (o, { stepSize, gamma }) => new optim.StepLR(o, { stepSize: stepSize!, gamma: gamma! }),
  exponentialLR: (o, { gamma }) => new optim.ExponentialLR(o, { gamma: gamma! }),
  cosineAnnealingLR: (o, { tMax, etaMin }) => new optim.CosineAnnealingLR(o, { totalSteps: tMax!, minLr: etaMin! }),
  linearWarmup: (o, { startFactor, totalIters }) =>
    new optim.WarmupLR(o, { warmupSteps: totalIters!, startFactor: startFactor! }),
  warmupThenCosine: (o, { startFactor, warmupIters, tMax, etaMin }) =>
    new optim.WarmupLR(o, {
      warmupSteps: warmupIters!,
      startFactor: startFactor!,
      after: new optim.CosineAnnealingLR(o, { totalSteps: tMax!, minLr: etaMin! }),
    }),
  oneCycleLR: (o, config) => new optim.OneCycleLR(o, config as unknown as optim.OneCycleOptions),
  reduceLROnPlateau: (o, config) => new optim.ReduceLROnPlateau(o, config),
};

const optimizerWith = (...rates: number[]) => ({ groups: rates.map((lr) => ({ lr })) });

describe('schedules', () => {
  it.each(loadCases<Config>('schedule').map((c) => [c.name, c] as const))('%s as PyTorch does', (_, c) => {
    const optimizer = optimizerWith(c.config['lr']!);
    const schedule = make[c.op]!(optimizer, c.config);
    const metrics = c.inputs['metrics'] ? typedData(c.inputs['metrics']) : [];
    const rates = typedData(c.outputs['lr']!);
    rates.forEach((rate, step) => {
      expectClose([optimizer.groups[0]!.lr], [rate], { relative: 1e-6 }, `step ${step}`);
      if (step < rates.length - 1) schedule.step(metrics[step]!);
    });
  });

  it('keep the proportions of groups', () => {
    const optimizer = optimizerWith(1, 0.1);
    const schedule = new optim.StepLR(optimizer, { stepSize: 1, gamma: 0.5 });
    schedule.step();
    schedule.step();
    expect(schedule.rates).toEqual([0.25, 0.025]);
  });

  it('go on from a saved state', () => {
    const [a, b] = [optimizerWith(0.3), optimizerWith(7)];
    const first = new optim.CosineAnnealingLR(a, { totalSteps: 9 });
    for (let i = 0; i < 4; i++) first.step();
    const second = new optim.CosineAnnealingLR(b, { totalSteps: 9 });
    second.loadStateDict(first.stateDict());
    expect(second.rates).toEqual(first.rates);
    first.step();
    second.step();
    expect(second.rates).toEqual(first.rates);
    const plateau = new optim.ReduceLROnPlateau(a, { patience: 1 });
    for (const metric of [1, 2, 2]) plateau.step(metric);
    const other = new optim.ReduceLROnPlateau(b, { patience: 1 });
    other.loadStateDict(plateau.stateDict());
    plateau.step(3);
    other.step(3);
    expect(other.stateDict()).toEqual(plateau.stateDict());
  });

  it('refuse what makes no sense', () => {
    const optimizer = optimizerWith(1);
    const wrong: (() => unknown)[] = [
      () => new optim.StepLR(optimizer, { stepSize: 0 }),
      () => new optim.CosineAnnealingLR(optimizer, { totalSteps: 1.5 }),
      () => new optim.WarmupLR(optimizer, { warmupSteps: -1 }),
      () => new optim.OneCycleLR(optimizer, { maxLr: 1, totalSteps: 9, pctStart: 1 }),
      () => new optim.ReduceLROnPlateau(optimizer, { factor: 1 }),
      () => new optim.StepLR(optimizer, { stepSize: 1 }).loadStateDict({ lastStep: 0, baseRates: [1, 2] }),
    ];
    for (const body of wrong) expect(errorOf(body), String(body)).toMatchObject({ code: 'ERR_VALUE' });
    const cycle = new optim.OneCycleLR(optimizer, { maxLr: 1, totalSteps: 3 });
    cycle.step();
    cycle.step();
    expect(errorOf(() => cycle.step())).toMatchObject({ code: 'ERR_STATE' });
  });
});
