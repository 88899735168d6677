import { ConvgradError } from '../errors';
import { native } from '../native';
import { checkRange, Optimizer, type ParameterGroup, type Parameters, type StepOperands } from './optimizer';

export interface SGDOptions {
  /** The learning rate. */
  lr: number;
  /** Default 0. */
  momentum?: number;
  /** What the gradient's weight in the momentum lacks of 1. Default 0. */
  dampening?: number;
  /** Added to the gradient: weightDecay · parameter. Default 0. */
  weightDecay?: number;
  /** Looks ahead along the momentum; needs one, and no dampening. Default false. */
  nesterov?: boolean;
}

/** Gradient descent, with momentum if wanted. PyTorch's formulas. */
export class SGD extends Optimizer<SGDOptions> {
  constructor(parameters: Parameters | readonly ParameterGroup<SGDOptions>[], options: SGDOptions) {
    super(parameters, options);
  }

  protected validate({ momentum = 0, dampening = 0, weightDecay = 0, nesterov = false }: SGDOptions): void {
    checkRange('SGD', 'momentum', momentum, 0, Infinity);
    checkRange('SGD', 'weightDecay', weightDecay, 0, Infinity);
    if (nesterov && (momentum === 0 || dampening !== 0)) {
      throw new ConvgradError('ERR_VALUE', 'SGD: nesterov needs a momentum above 0 and a dampening of 0');
    }
  }

  protected update(options: SGDOptions, { params, grads, slot, steps, rate }: StepOperands): void {
    const { momentum = 0, dampening = 0, weightDecay = 0, nesterov = false } = options;
    const momenta = momentum === 0 ? [] : slot('momentum');
    native.sgdStep(params, grads, momenta, steps(), rate, momentum, dampening, weightDecay, nesterov);
  }
}
