import { ConvgradError } from '../errors';
import { lookUp } from '../names';
import { BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, L1Loss, Module, MSELoss } from '../nn';
import {
  binaryCrossEntropy,
  binaryCrossEntropyWithLogits,
  crossEntropy as crossEntropyOfLogits,
  crossEntropyFromProbabilities,
  huberLoss,
  maeLoss,
  mseLoss,
} from '../ops';
import type { DType, Tensor } from '../tensor';

/** What a loss wants for labels, by which they are converted and checked before training begins. */
export type TargetKind =
  /** int32 classes: the shape of the output without its last axis. */
  | 'classes'
  /** float32 in the shape of the output. */
  | 'values'
  /** float32 in the shape of the output, from 0 to 1. */
  | 'probabilities'
  /** Probabilities of the classes where labels have the shape of the output, else classes. */
  | 'classesOrProbabilities'
  /** As they come. */
  | 'any';

/**
 * A loss of one's own: one number for a batch, from what the model predicts, the labels, and what each sample counts. The
 * prediction comes first, as in all losses and metrics here (Keras has the labels first).
 */
export type LossFunction = (output: Tensor, target: Tensor<DType>, options: { sampleWeight: Tensor | null }) => Tensor;

/** What is minimised, and what is known about it. */
export interface Loss {
  /** What messages call it, and files, if it can be made again by this name. */
  readonly name: string;
  /** What it wants for labels. */
  readonly target: TargetKind;
  /** The loss from the model's output. */
  readonly compute: LossFunction;
  /**
   * The same for a model that ends in this activation, from what is before it: exact where probabilities are so close
   * to 0 or 1 that float32 cannot hold them.
   */
  readonly fused?: { readonly activation: 'softmax' | 'sigmoid'; readonly compute: LossFunction };
  /** What the metric 'accuracy' stands for. */
  readonly accuracy: 'accuracy' | 'binaryAccuracy';
  /** The options it was made with, when it can be made again by its name. */
  readonly options?: Readonly<Record<string, unknown>>;
}

export interface CrossentropyOptions {
  /** The output is logits, not probabilities. Default false; a model that ends in the activation gets the exact form anyway. */
  fromLogits?: boolean;
  /** Moves targets this far towards the uniform distribution. Default 0. */
  labelSmoothing?: number;
}

type ClassTarget = Tensor | Tensor<'int32'>;

function crossentropy(name: string, target: TargetKind, options: CrossentropyOptions): Loss {
  const { fromLogits = false, labelSmoothing = 0 } = options;
  const ofLogits: LossFunction = (logits, labels, { sampleWeight }) =>
    crossEntropyOfLogits(logits, labels as ClassTarget, { labelSmoothing, sampleWeight });
  const ofProbabilities: LossFunction = (probabilities, labels, { sampleWeight }) =>
    crossEntropyFromProbabilities(probabilities, labels as ClassTarget, { labelSmoothing, sampleWeight });
  return {
    name,
    target,
    compute: fromLogits ? ofLogits : ofProbabilities,
    fused: { activation: 'softmax', compute: ofLogits },
    accuracy: 'accuracy',
    options: { ...options },
  };
}

/** Cross-entropy between classes [N, ...] and the model's probabilities [N, ..., C]. */
export const sparseCategoricalCrossentropy = (options: CrossentropyOptions = {}): Loss =>
  crossentropy('sparseCategoricalCrossentropy', 'classes', options);

/** Cross-entropy between distributions, such as one-hot rows, and the model's probabilities, both [N, ..., C]. */
export const categoricalCrossentropy = (options: CrossentropyOptions = {}): Loss =>
  crossentropy('categoricalCrossentropy', 'probabilities', options);

/** PyTorch's: the output is logits; labels are classes, or distributions in the output's shape. */
export const crossEntropy = ({ labelSmoothing = 0 }: { labelSmoothing?: number } = {}): Loss => ({
  ...crossentropy('crossEntropy', 'classesOrProbabilities', { fromLogits: true, labelSmoothing }),
  options: { labelSmoothing },
});

/** Cross-entropy of yes and no for each element of the output, which is probabilities; labels have its shape. */
export function binaryCrossentropy(options: CrossentropyOptions = {}): Loss {
  const { fromLogits = false, labelSmoothing = 0 } = options;
  const ofLogits: LossFunction = (logits, target, { sampleWeight }) =>
    binaryCrossEntropyWithLogits(logits, target as Tensor, { labelSmoothing, sampleWeight });
  const ofProbabilities: LossFunction = (probabilities, target, { sampleWeight }) =>
    binaryCrossEntropy(probabilities, target as Tensor, { labelSmoothing, sampleWeight });
  return {
    name: 'binaryCrossentropy',
    target: 'probabilities',
    compute: fromLogits ? ofLogits : ofProbabilities,
    fused: { activation: 'sigmoid', compute: ofLogits },
    accuracy: 'binaryAccuracy',
    options: { ...options },
  };
}

function regression(name: string, compute: LossFunction, options: Readonly<Record<string, unknown>> = {}): Loss {
  return { name, target: 'values', compute, accuracy: 'accuracy', options };
}

/** The mean of the squared differences. */
export const meanSquaredError = (): Loss =>
  regression('meanSquaredError', (output, target, options) => mseLoss(output, target as Tensor, options));

/** The mean of the absolute differences. */
export const meanAbsoluteError = (): Loss =>
  regression('meanAbsoluteError', (output, target, options) => maeLoss(output, target as Tensor, options));

/** Squared for differences up to delta (default 1), linear beyond. */
export const huber = ({ delta = 1 }: { delta?: number } = {}): Loss =>
  regression('huber', (output, target, options) => huberLoss(output, target as Tensor, { ...options, delta }), {
    delta,
  });

const byName: Readonly<Record<string, (options?: object) => Loss>> = {
  sparseCategoricalCrossentropy,
  categoricalCrossentropy,
  binaryCrossentropy,
  crossEntropy,
  meanSquaredError,
  mse: meanSquaredError,
  meanAbsoluteError,
  mae: meanAbsoluteError,
  huber,
};

/** The names of the losses. */
export const lossNames: readonly string[] = Object.keys(byName);

/** The loss of a name, in camelCase or snake_case. Throws ERR_VALUE with the nearest one. */
export function lossByName(name: string, options: object | undefined, what: string): Loss {
  return lookUp(byName, name, what)(options);
}

/** A module without its call signatures, next to which a function would not get the types of its parameters. */
type LossModule = Pick<Module, keyof Module>;

/** What a user may pass for a loss. */
export type LossLike = string | Loss | LossFunction | LossModule;

/** A loss from a name, a loss, a function, or a module such as `nn.CrossEntropyLoss`. */
export function resolveLoss(loss: LossLike, what: string): Loss {
  if (typeof loss === 'string') return lossByName(loss, undefined, what);
  if (loss instanceof Module) return ofModule(loss);
  if (typeof loss === 'function')
    return { name: loss.name || 'loss', target: 'any', compute: loss, accuracy: 'accuracy' };
  if (typeof loss === 'object' && loss !== null && 'compute' in loss && typeof loss.compute === 'function') return loss;
  throw new ConvgradError('ERR_VALUE', `${what} must be a name, a loss, a function or a module, got ${String(loss)}`);
}

/** Whether a loss is one of the library's, made from its name, by its function, or from a module (of whatever class). */
export function isOfLibrary(loss: Loss, given: LossLike): boolean {
  return loss.options !== undefined || given instanceof Module;
}

function ofModule(module: Module): Loss {
  const isBinary = module instanceof BCELoss || module instanceof BCEWithLogitsLoss;
  const takesValues = module instanceof MSELoss || module instanceof L1Loss || module instanceof HuberLoss;
  const target = takesValues ? 'values' : isBinary ? 'probabilities' : 'any';
  return {
    name: module.name ?? module.type,
    target: module instanceof CrossEntropyLoss ? 'classesOrProbabilities' : target,
    accuracy: isBinary ? 'binaryAccuracy' : 'accuracy',
    compute: (output, target, { sampleWeight }) => {
      if (!sampleWeight) return module(output, target) as Tensor;
      throw new ConvgradError(
        'ERR_VALUE',
        `fit: ${module.type} takes no sample or class weights: name the loss instead`,
      );
    },
  };
}
