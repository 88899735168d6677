import { native } from '../native';
import { checkRange, Optimizer, type ParameterGroup, type Parameters, type StepOperands } from './optimizer';

export interface RMSpropOptions {
  /** Default 0.01. */
  lr?: number;
  /** Decay of the mean of the squares (Keras's rho). Default 0.99. */
  alpha?: number;
  /** Added to the root of that mean. Default 1e-8. */
  eps?: number;
  /** Added to the gradient: weightDecay · parameter. Default 0. */
  weightDecay?: number;
  /** Default 0. */
  momentum?: number;
  /** Divides by the standard deviation of the gradients and not by the root of their mean square. Default false. */
  centered?: boolean;
  /** Whether epsilon is added under the root, as Keras does. Default false. */
  kerasEpsilon?: boolean;
}

/** RMSprop (Hinton, 2012). PyTorch's formulas. */
export class RMSprop extends Optimizer<RMSpropOptions & { lr: number }> {
  constructor(
    parameters: Parameters | readonly ParameterGroup<RMSpropOptions & { lr: number }>[],
    options: RMSpropOptions = {},
  ) {
    super(parameters, { lr: 0.01, ...options });
  }

  protected validate({ alpha = 0.99, eps = 1e-8, weightDecay = 0, momentum = 0 }: RMSpropOptions): void {
    checkRange('RMSprop', 'alpha', alpha, 0, 1);
    checkRange('RMSprop', 'eps', eps, 0, Infinity);
    checkRange('RMSprop', 'weightDecay', weightDecay, 0, Infinity);
    checkRange('RMSprop', 'momentum', momentum, 0, Infinity);
  }

  protected update(options: RMSpropOptions, { params, grads, slot, rate }: StepOperands): void {
    const { alpha = 0.99, eps = 1e-8, weightDecay = 0, momentum = 0, centered = false, kerasEpsilon = false } = options;
    const means = centered ? slot('mean') : [];
    const momenta = momentum === 0 ? [] : slot('momentum');
    const squares = slot('square');
    native.rmspropStep(
      params,
      grads,
      squares,
      means,
      momenta,
      rate,
      alpha,
      eps,
      momentum,
      weightDecay,
      centered,
      kerasEpsilon,
    );
  }
}
