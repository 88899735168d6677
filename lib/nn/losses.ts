import type { Reduction } from '../native';
import { binaryCrossEntropy, binaryCrossEntropyWithLogits, crossEntropy, huberLoss, maeLoss, mseLoss } from '../ops';
import type { Tensor } from '../tensor';
import { Module } from './module';

export interface LossModuleOptions {
  /** Default `'mean'`. */
  reduction?: Reduction;
}

export interface CrossEntropyLossOptions extends LossModuleOptions {
  /** Multiplies each class's term: [classes]. Default: 1. */
  weight?: Tensor | null;
  /** s: targets t become (1 - s) · t + s / classes. Default 0. */
  labelSmoothing?: number;
}

/**
 * Cross-entropy of softmax(logits). PyTorch `CrossEntropyLoss`.
 *
 * Logits [N, ..., classes] and int32 labels [N, ...] or float32 probabilities [N, ..., classes] → a scalar.
 */
export class CrossEntropyLoss extends Module {
  constructor(readonly options: CrossEntropyLossOptions = {}) {
    super();
  }

  forward(logits: Tensor, target: Tensor<'int32'> | Tensor): Tensor {
    const { weight: classWeight, ...options } = this.options;
    return crossEntropy(logits, target, { classWeight, ...options });
  }
}

/** Binary cross-entropy of probabilities. PyTorch `BCELoss`. Two tensors of one shape → a scalar. */
export class BCELoss extends Module {
  constructor(readonly options: LossModuleOptions = {}) {
    super();
  }

  forward(probabilities: Tensor, target: Tensor): Tensor {
    return binaryCrossEntropy(probabilities, target, this.options);
  }
}

/** Binary cross-entropy of sigmoid(logits). PyTorch `BCEWithLogitsLoss`. Two tensors of one shape → a scalar. */
export class BCEWithLogitsLoss extends Module {
  constructor(readonly options: LossModuleOptions = {}) {
    super();
  }

  forward(logits: Tensor, target: Tensor): Tensor {
    return binaryCrossEntropyWithLogits(logits, target, this.options);
  }
}

/** Mean of squared differences. PyTorch `MSELoss`. */
export class MSELoss extends Module {
  constructor(readonly options: LossModuleOptions = {}) {
    super();
  }

  forward(prediction: Tensor, target: Tensor): Tensor {
    return mseLoss(prediction, target, this.options);
  }
}

/** Mean of absolute differences. PyTorch `L1Loss`. */
export class L1Loss extends Module {
  constructor(readonly options: LossModuleOptions = {}) {
    super();
  }

  forward(prediction: Tensor, target: Tensor): Tensor {
    return maeLoss(prediction, target, this.options);
  }
}

/** Squared differences up to `delta`, absolute ones beyond. PyTorch `HuberLoss`. */
export class HuberLoss extends Module {
  constructor(readonly options: LossModuleOptions & { delta?: number } = {}) {
    super();
  }

  forward(prediction: Tensor, target: Tensor): Tensor {
    return huberLoss(prediction, target, this.options);
  }
}
