import { native } from '../native';
import { checkRange, Optimizer, type ParameterGroup, type Parameters, type StepOperands } from './optimizer';

export interface AdamOptions {
  /** Default 0.001. */
  lr?: number;
  /** Decay of the means of the gradient and of its square. Default [0.9, 0.999]. */
  betas?: readonly [number, number];
  /** Added to the root of the second mean. Default 1e-8. */
  eps?: number;
  /** Default 0 for Adam, which adds it to the gradient; 0.01 for AdamW, which takes it off the parameter. */
  weightDecay?: number;
  /** Whether epsilon is added before the second mean is corrected for its start at 0, as Keras does. Default false. */
  kerasEpsilon?: boolean;
}

/** Adam (Kingma and Ba, 2015). Weight decay is added to the gradient: for the decoupled kind see `AdamW`. */
export class Adam extends Optimizer<AdamOptions & { lr: number }> {
  constructor(
    parameters: Parameters | readonly ParameterGroup<AdamOptions & { lr: number }>[],
    options: AdamOptions = {},
  ) {
    super(parameters, { lr: 0.001, ...options });
  }

  protected get decoupled(): boolean {
    return false;
  }

  protected validate({ betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0 }: AdamOptions): void {
    checkRange('Adam', 'betas[0]', betas[0], 0, 1);
    checkRange('Adam', 'betas[1]', betas[1], 0, 1);
    checkRange('Adam', 'eps', eps, 0, Infinity);
    checkRange('Adam', 'weightDecay', weightDecay, 0, Infinity);
  }

  protected update(options: AdamOptions, { params, grads, slot, steps, rate }: StepOperands): void {
    const { betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0, kerasEpsilon = false } = options;
    native.adamStep(
      params,
      grads,
      slot('mean'),
      slot('square'),
      steps(),
      rate,
      betas[0],
      betas[1],
      eps,
      weightDecay,
      this.decoupled,
      kerasEpsilon,
    );
  }
}

/** Adam with decoupled weight decay (Loshchilov and Hutter, 2019): every step first shrinks the parameters. */
export class AdamW extends Adam {
  constructor(
    parameters: Parameters | readonly ParameterGroup<AdamOptions & { lr: number }>[],
    options: AdamOptions = {},
  ) {
    super(parameters, { weightDecay: 0.01, ...options });
  }

  protected override get decoupled(): boolean {
    return true;
  }
}
