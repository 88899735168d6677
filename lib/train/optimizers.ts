import { ConvgradError } from '../errors';
import { lookUp } from '../names';
import type { Module } from '../nn';
import {
  Adam,
  AdamW,
  Optimizer,
  RMSprop,
  SGD,
  type AdamOptions,
  type Parameters,
  type RMSpropOptions,
  type SGDOptions,
} from '../optim';

/** An optimizer by its name, with options: those of its class in `optim`, or as Keras calls them. */
export interface NamedOptimizer {
  /** `'sgd'`, `'adam'`, `'adamw'` or `'rmsprop'`, with Keras's defaults. */
  name: string;
  /** Default 0.01 for SGD, 0.001 for the others. */
  learningRate?: number;
  [option: string]: unknown;
}

/** A name, a name with options, an optimizer, or a function that makes one from the model's parameters. */
export type OptimizerLike =
  string | NamedOptimizer | OptimizerConfig | Optimizer | ((parameters: Parameters) => Optimizer);

/** How to make an optimizer, as JSON. */
export interface OptimizerConfig {
  class: 'SGD' | 'Adam' | 'AdamW' | 'RMSprop';
  options: Readonly<Record<string, unknown>>;
}

const classes = { SGD, Adam, AdamW, RMSprop };

/** Whether it is of one of the library's own classes. */
export function isLibraryOptimizer(optimizer: Optimizer): boolean {
  return Object.values<unknown>(classes).includes(optimizer.constructor);
}

/** Keras's defaults, and its place for epsilon. */
const named: Readonly<Record<string, OptimizerConfig>> = {
  sgd: { class: 'SGD', options: { lr: 0.01 } },
  adam: { class: 'Adam', options: { lr: 0.001, eps: 1e-7, kerasEpsilon: true } },
  adamw: { class: 'AdamW', options: { lr: 0.001, eps: 1e-7, weightDecay: 0.004, kerasEpsilon: true } },
  rmsprop: { class: 'RMSprop', options: { lr: 0.001, alpha: 0.9, eps: 1e-7, kerasEpsilon: true } },
};

/** Options by their names in `optim` and in Keras. */
const optionNames: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      ...(['lr', 'momentum', 'nesterov', 'weightDecay', 'dampening'] satisfies (keyof SGDOptions)[]),
      ...(['betas', 'eps', 'kerasEpsilon'] satisfies (keyof AdamOptions)[]),
      ...(['alpha', 'centered'] satisfies (keyof RMSpropOptions)[]),
    ].map((name) => [name, name]),
  ),
  learningRate: 'lr',
  epsilon: 'eps',
  rho: 'alpha',
  beta1: 'beta1',
  beta2: 'beta2',
};

/** How to come by an optimizer once the model has weights. */
export interface OptimizerPlan {
  /** As JSON; null where that is not possible, since somebody else makes it. */
  config: OptimizerConfig | null;
  make(model: Module): Optimizer;
}

/**
 * @throws ERR_VALUE for a name or an option that does not exist, with the nearest one
 */
export function planOptimizer(optimizer: OptimizerLike, what: string): OptimizerPlan {
  if (optimizer instanceof Optimizer) return { config: configOf(optimizer), make: () => optimizer };
  if (typeof optimizer === 'function') return { config: null, make: (model) => optimizer(model.namedParameters()) };
  const config = typeof optimizer === 'string' ? lookUp(named, optimizer, what) : configured(optimizer, what);
  const Class = lookUp(classes, config.class, what) as new (parameters: Parameters, options: object) => Optimizer;
  return { config, make: (model) => new Class(model.namedParameters(), config.options) };
}

function configured(optimizer: NamedOptimizer | OptimizerConfig, what: string): OptimizerConfig {
  if (typeof optimizer === 'object' && optimizer !== null && 'class' in optimizer) return optimizer as OptimizerConfig;
  if (typeof optimizer?.name !== 'string') {
    throw new ConvgradError(
      'ERR_VALUE',
      `${what} must be a name, an optimizer or a function, got ${String(optimizer)}`,
    );
  }
  const { name, ...given } = optimizer;
  const config = lookUp(named, name, what);
  const options: Record<string, unknown> = { ...config.options };
  for (const [key, value] of Object.entries(given)) {
    if (value !== undefined) options[lookUp(optionNames, key, `${what} '${name}': option`)] = value;
  }
  const { beta1, beta2, ...others } = options;
  if (beta1 === undefined && beta2 === undefined) return { ...config, options };
  return { ...config, options: { ...others, betas: [beta1 ?? 0.9, beta2 ?? 0.999] } };
}

/** Null for a class of one's own, and where groups of parameters have options of their own. */
function configOf(optimizer: Optimizer): OptimizerConfig | null {
  const name = Object.entries(classes).find(([, known]) => known === optimizer.constructor)?.[0];
  if (name === undefined || optimizer.groups.length !== 1) return null;
  return { class: name as OptimizerConfig['class'], options: { ...optimizer.groups[0]!.options } };
}
