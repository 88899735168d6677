import { ConvgradError } from '../errors';
import { Module } from './module';

/** Modules in a list that belong to the module that holds it. A plain array of modules does the same. */
export class ModuleList extends Module {
  readonly #items: Module[];

  constructor(modules: Iterable<Module> = []) {
    super();
    this.#items = [...modules];
  }

  override get length(): number {
    return this.#items.length;
  }

  /** The module at an index; a negative one counts from the end. */
  at(index: number): Module | undefined {
    return this.#items.at(index);
  }

  push(...modules: Module[]): this {
    this.#items.push(...modules);
    return this;
  }

  [Symbol.iterator](): IterableIterator<Module> {
    return this.#items.values();
  }

  override *namedChildren(): IterableIterator<[string, Module]> {
    for (const [i, module] of this.#items.entries()) yield [String(i), module];
  }

  /** A list computes nothing: call its modules. */
  forward(): never {
    throw new ConvgradError('ERR_STATE', 'a ModuleList cannot be called: call the modules in it');
  }
}
