import { ConvgradError } from '../errors';
import type { Shape } from '../tensor';
import type { Module } from './module';

/** One value or a list of them, as layers take and return them. */
export type OneOrMany<T> = T | readonly T[];

/** A call of a module on symbolic tensors, or an input (`module` is null). */
export interface SymbolicCall {
  readonly module: Module | null;
  /** The arguments of the call, in order. */
  readonly inputs: readonly OneOrMany<SymbolicTensor>[];
}

/**
 * A place in a functional model: a tensor that has a shape and no values yet. `input()` makes the first ones, calling a
 * layer on them makes the next, and `Graph` turns inputs and outputs into a model.
 */
export class SymbolicTensor {
  /** @internal */
  constructor(
    /** Without the batch axis, like `inputShape` everywhere. */
    readonly shape: Shape,
    /** @internal */
    readonly call: SymbolicCall,
    /** @internal Which of the call's results this is. */
    readonly index: number,
    readonly name?: string,
  ) {}

  /** @internal What ops read from a tensor. */
  get handle(): never {
    throw new ConvgradError(
      'ERR_STATE',
      'a symbolic tensor has no values: only layers take it, so put this computation into a layer (a class that extends nn.Module)',
    );
  }

  toString(): string {
    return `SymbolicTensor(shape=${shapeText(this.shape)})`;
  }
}

/** `(None, 32, 32, 3)`: a shape as Keras writes it, the batch in front. */
export function shapeText(shape: Shape): string {
  return `(${['None', ...shape].join(', ')}${shape.length === 0 ? ',' : ''})`;
}

/** Whether an argument of a layer is symbolic, or a list of symbolic tensors. */
export function isSymbolic(value: unknown): value is OneOrMany<SymbolicTensor> {
  return value instanceof SymbolicTensor || (Array.isArray(value) && value.length > 0 && value.every(isSymbolic));
}

/** Applies a function to one value or to each of a list. */
export function mapMany<A, B>(value: OneOrMany<A>, fn: (item: A) => B): OneOrMany<B> {
  return Array.isArray(value) ? value.map((item: A) => fn(item)) : fn(value as A);
}

/** One value or many as a list. */
export function many<T>(value: OneOrMany<T>): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}
