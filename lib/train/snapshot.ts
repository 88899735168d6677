import * as nn from '../nn';
import { Group, Optimizer } from '../optim/optimizer';
import { Tensor } from '../tensor';

const { Graph, Module, Sequential } = nn;
const libraryClasses: ReadonlySet<unknown> = new Set<unknown>(Object.values(nn));

/**
 * What a step depends on besides the tensors that it is given: a walk over modules, optimizers and options compares
 * everything in them with what it found the last time. Elements of tensors do not count, those are read by every step.
 */
export class Snapshot {
  /** Whether a module has hooks, which want to see every forward pass. */
  hasHooks = false;
  /** Whether code takes part that is not the library's: it may decide anew every time what it does. */
  hasOwnCode = false;

  private readonly seen: unknown[] = [];
  private readonly visited = new Set<unknown>();
  private position = 0;
  private isSame = true;

  /** Whether all is as it was when this was called the last time. */
  update(roots: readonly unknown[]): boolean {
    this.position = 0;
    this.isSame = true;
    this.hasHooks = false;
    this.hasOwnCode = false;
    this.visited.clear();
    for (const root of roots) this.walk(root);
    if (this.seen.length !== this.position) this.isSame = false;
    this.seen.length = this.position;
    return this.isSame;
  }

  private note(value: unknown): void {
    const { seen, position } = this;
    if (position === seen.length || !Object.is(seen[position], value)) {
      seen[position] = value;
      this.isSame = false;
    }
    this.position = position + 1;
  }

  private walk(value: unknown): void {
    this.note(value);
    const isObject = (typeof value === 'object' && value !== null) || value instanceof Module;
    if (!isObject || this.visited.has(value)) return;
    this.visited.add(value);
    if (value instanceof Tensor) {
      this.note(value.requiresGrad);
      this.note(value.grad);
      this.note(value.isDisposed);
    } else if (value instanceof Module) {
      this.walkModule(value);
    } else if (Array.isArray(value) || value instanceof Set) {
      for (const item of value) this.walk(item);
    } else if (value instanceof Map) {
      for (const [key, item] of value) {
        this.walk(key);
        this.walk(item);
      }
    } else if (
      value instanceof Optimizer ||
      value instanceof Group ||
      Object.getPrototypeOf(value) === Object.prototype
    ) {
      this.walkProperties(value);
    }
  }

  private walkModule(module: nn.Module): void {
    this.note(module.trainable);
    if (module.hasHooks) this.hasHooks = true;
    if (!libraryClasses.has(module.constructor) || module.callsBack) this.hasOwnCode = true;
    this.walkProperties(module);
    if (module instanceof Sequential || module instanceof Graph) for (const layer of module.layers) this.walk(layer);
  }

  private walkProperties(object: object): void {
    const isModule = object instanceof Module;
    for (const key of Object.keys(object)) {
      if (isModule && key === 'training') continue; // every step sets it
      const value = (object as Record<string, unknown>)[key];
      this.walk(value);
      if (typeof value === 'function' && !(value instanceof Module) && key in Object.getPrototypeOf(object)) {
        this.hasOwnCode = true; // a method was replaced
      }
    }
  }
}
