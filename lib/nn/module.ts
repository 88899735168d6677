import { inspect } from 'node:util';
import { noGrad } from '../autograd';
import { setDevice } from '../device';
import { ConvgradError } from '../errors';
import { tidy } from '../memory';
import type { DType } from '../native';
import { markProduced } from '../provenance';
import { Tensor, zeros, type Shape } from '../tensor';
import { within } from './location';
import { snakeCase } from './naming';
import { Buffer, Parameter } from './parameter';
import { printTree } from './print';
import { loadState, type LoadReport, type StateDict } from './state';
import { summarize, type SummaryEntry, type SummaryOptions } from './summary';
import { isSymbolic, many, mapMany, SymbolicTensor, type OneOrMany } from './symbolic';

/** Called after a module's forward pass with what went in and what came out. */
export type ForwardHook = (module: Module, inputs: readonly unknown[], output: unknown) => void;

/** What a call of a module on symbolic tensors returns: as many as its forward pass. */
type Symbolic<R> = 0 extends 1 & R ? SymbolicTensor : R extends readonly unknown[] ? SymbolicTensor[] : SymbolicTensor;

/**
 * An object that can be called. Its constructor returns a function with the class's prototype, so that fields and
 * methods live on it as on any object. A class of its own: fields of a class are made on what its parent returned.
 */
abstract class Callable {
  constructor() {
    const self = (...args: unknown[]): unknown => (self as unknown as Module).call(...args);
    Object.setPrototypeOf(self, new.target.prototype as object);
    // What every function has of its own would hide fields and getters of these names.
    delete (self as { name?: string }).name;
    delete (self as { length?: number }).length;
    return self as unknown as this;
  }
}

/** Calling a module is `module.call(...)`. */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- Callable makes it true
export interface Module {
  (...inputs: OneOrMany<SymbolicTensor>[]): Symbolic<ReturnType<this['forward']>>;
  (...args: Parameters<this['forward']>): ReturnType<this['forward']>;
}

/**
 * The base of layers and models, as in PyTorch:
 *
 *     class SimpleCNN extends nn.Module {
 *       conv1 = new nn.Conv2d(3, 32, { kernelSize: 3, padding: 1 });
 *       pool = new nn.MaxPool2d(2);
 *
 *       forward(x: Tensor) {
 *         return this.pool(relu(this.conv1(x)));
 *       }
 *     }
 *     const logits = new SimpleCNN()(images);
 *
 * Modules, parameters and buffers that are (enumerable) properties, or items of arrays that are, belong to the module:
 * `#private` ones do not. Tensors that a forward pass makes and does not return are freed when it returns; what must
 * outlive it goes through `keep()`.
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- see the interface
export abstract class Module extends Callable {
  /** Whether dropout drops and batch norm uses the batch's statistics: see `train()` and `eval()`. */
  training = true;
  /** The name given to a layer (Keras's `name`); models and messages use it. */
  name: string | undefined = undefined;
  /** @internal The name of the class that Keras has for this layer, when it was made by its Keras name. */
  kerasType: string | undefined = undefined;

  /** Makes the weights when the shape of the input (without batch) is known; null once they exist. */
  protected makeWeights: ((inputShape: Shape) => void) | null = null;
  #trainable = true;
  #inputShapes: Shape[] | null = null;
  #hooks: Set<ForwardHook> | null = null;

  /** Computes the output from the input. Call the module itself: that builds it, runs hooks, and names it in errors. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  abstract forward(...args: any[]): any;

  /**
   * Runs `forward`; `module(x)` is the same. Errors name the layer: `SimpleCNN.fc1 (Linear): got 3136 features…`.
   * On symbolic tensors it is `apply`.
   */
  call(...args: Parameters<this['forward']>): ReturnType<this['forward']> {
    if (args.length > 0 && args.every(isSymbolic))
      return this.apply(...(args as OneOrMany<SymbolicTensor>[])) as ReturnType<this['forward']>;
    return this.run(args, () => this.forward(...(args as unknown[])) as ReturnType<this['forward']>);
  }

  /** Adds this module to a functional model: takes the symbolic tensors of `input()` or of another layer. */
  apply(...inputs: OneOrMany<SymbolicTensor>[]): Symbolic<ReturnType<this['forward']>> {
    const shapes = this.outputShape(...inputs.map((input) => mapMany(input, (symbolic) => symbolic.shape)));
    const call = { module: this, inputs };
    if (!Array.isArray(shapes[0])) return new SymbolicTensor(shapes as Shape, call, 0) as never;
    return (shapes as Shape[]).map((shape, index) => new SymbolicTensor(shape, call, index)) as never;
  }

  /**
   * What the module computes before its last activation, where that is the one of `finalActivation`: a softmax is left
   * to the loss, which does both at once and exactly.
   * @throws ERR_STATE when the module does not end in an activation
   */
  logits(...args: Parameters<this['forward']>): Tensor {
    return this.run(args, () => this.forwardLogits(...(args as unknown[])));
  }

  /** The activation that ends this module, if that is a softmax or a sigmoid. */
  get finalActivation(): 'softmax' | 'sigmoid' | null {
    return null;
  }

  /** `forward` without the final activation; defined where `finalActivation` is. */
  protected forwardLogits(..._args: unknown[]): Tensor {
    throw new ConvgradError('ERR_STATE', 'logits: this module does not end in a softmax or a sigmoid');
  }

  /**
   * What every call goes through: errors name the module, lazy weights are made, hooks run, leftovers are freed. The output
   * is said to come from `producer`.
   */
  protected run<R>(args: readonly unknown[], forward: () => R, producer: Module = this): R {
    return within(this, () =>
      tidy(() => {
        if (this.forward.length > 0 && !args[0]) throw wantsTensor(args[0]);
        if (this.makeWeights) this.build(shapeOfFirst(args));
        const output = forward();
        this.#hooks?.forEach((hook) => hook(this, args, output));
        for (const tensor of many(output)) {
          if (!(tensor instanceof Tensor) || args.includes(tensor)) continue;
          markProduced(tensor, producer, args[0] instanceof Tensor ? args[0] : null);
        }
        return output;
      }),
    );
  }

  /** Calls `hook` after every forward pass. Returns a function that takes it away again. */
  registerForwardHook(hook: ForwardHook): () => void {
    const hooks = (this.#hooks ??= new Set());
    hooks.add(hook);
    return () => hooks.delete(hook);
  }

  /** @internal Whether someone listens, so that this module may not be fused with the next one. */
  get hasHooks(): boolean {
    return (this.#hooks?.size ?? 0) > 0;
  }

  /** @internal Whether the forward pass calls a function that the user gave, which may do something else every time. */
  get callsBack(): boolean {
    return false;
  }

  /**
   * Makes the weights that are still missing, from the shape of one input (without the batch axis), as layers of the
   * Keras face otherwise do at their first call.
   */
  build(inputShape: Shape): this {
    if (this.makeWeights) {
      this.makeWeights(inputShape);
      this.makeWeights = null;
      this.trainable = this.#trainable;
    }
    if (!this.built) this.outputShape(inputShape);
    return this;
  }

  /** Whether all weights exist, of the modules inside too. */
  get built(): boolean {
    for (const module of this.modules()) if (module.makeWeights) return false;
    return true;
  }

  /**
   * The shape of the output (shapes, for a module with several) for inputs of these shapes, all without the batch axis.
   * Found by running the module on zeros, in inference mode; makes weights that are missing.
   */
  outputShape(...inputShapes: OneOrMany<Shape>[]): OneOrMany<Shape> {
    return evaluating(this, () => {
      const inputs = inputShapes.map((shapes) =>
        Array.isArray(shapes[0])
          ? (shapes as readonly Shape[]).map((shape) => zeros([1, ...shape]))
          : zeros([1, ...(shapes as Shape)]),
      );
      const output: OneOrMany<Tensor> = this.call(...(inputs as Parameters<this['forward']>));
      return mapMany(output, (tensor) => tensor.shape.slice(1));
    });
  }

  /** The modules that belong to this one, by name. */
  *namedChildren(): IterableIterator<[name: string, module: Module]> {
    for (const [key, value] of members(this)) if (value instanceof Module) yield [key, value];
  }

  children(): Module[] {
    return Array.from(this.namedChildren(), ([, module]) => module);
  }

  /** This module and all inside it, each once, by path: '', 'features', 'features.0'. */
  *namedModules(prefix = '', seen = new Set<Module>()): IterableIterator<[path: string, module: Module]> {
    if (seen.has(this)) return;
    seen.add(this);
    yield [prefix, this];
    for (const [name, child] of this.namedChildren()) yield* child.namedModules(join(prefix, name), seen);
  }

  modules(): Module[] {
    return Array.from(this.namedModules(), ([, module]) => module);
  }

  /**
   * All parameters, each once, by path: 'conv1.weight'.
   * @throws ERR_STATE when a layer has no weights yet because it does not know the shape of its input
   */
  *namedParameters(): IterableIterator<[path: string, parameter: Parameter]> {
    for (const [path, value] of this.#state()) if (value instanceof Parameter) yield [path, value];
  }

  parameters(): Parameter[] {
    return Array.from(this.namedParameters(), ([, parameter]) => parameter);
  }

  /** The parameters that are not frozen. */
  trainableParameters(): Parameter[] {
    return this.parameters().filter((parameter) => parameter.requiresGrad);
  }

  /** State that is not learnt, such as running statistics, by path. */
  *namedBuffers(): IterableIterator<[path: string, buffer: Buffer<DType>]> {
    for (const [path, value] of this.#state()) if (value instanceof Buffer) yield [path, value];
  }

  /** Parameters and buffers by path, in the order of definition. */
  *#state(): IterableIterator<[path: string, tensor: Parameter | Buffer<DType>]> {
    const seen = new Set<unknown>();
    for (const [path, module] of this.namedModules()) {
      if (module.makeWeights) {
        throw new ConvgradError(
          'ERR_STATE',
          `${path || module.type} (${module.type}) has no weights yet: give the first layer an inputShape, or call build(inputShape)`,
        );
      }
      for (const [key, value] of members(module)) {
        if (!(value instanceof Parameter || value instanceof Buffer) || seen.has(value)) continue;
        seen.add(value);
        yield [join(path, key), value];
      }
    }
  }

  /**
   * Whether the weights are trained. Setting it goes to all modules inside. A frozen batch norm normalises with its
   * running statistics and leaves them as they are, even in a model that trains (Keras's meaning).
   */
  get trainable(): boolean {
    return this.#trainable;
  }

  set trainable(value: boolean) {
    for (const module of this.modules()) {
      module.#trainable = value;
      for (const [, member] of members(module)) if (member instanceof Parameter) member.requiresGrad = value;
    }
  }

  /** Switches this module and all inside it to training, or with `false` to inference. */
  train(mode = true): this {
    for (const module of this.modules()) module.training = mode;
    return this;
  }

  /** Switches to inference: dropout passes everything on, batch norm uses its running statistics. */
  eval(): this {
    return this.train(false);
  }

  /** Disposes the parameters' gradients. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) {
      parameter.grad?.dispose();
      parameter.grad = null;
    }
  }

  /** Parameters and buffers by path. They are the module's own tensors: copy what has to stay as it is. */
  stateDict(): StateDict {
    return new Map([...this.#state()]);
  }

  /**
   * Copies values into the parameters and buffers.
   * @param options `strict`: whether every tensor must find its place and every place its tensor (the default); shapes and dtypes
   *   must agree in any case
   * @throws ERR_VALUE naming all that is missing, unexpected or of another shape; nothing was changed then
   */
  loadStateDict(
    state: StateDict | Readonly<Record<string, Tensor<DType>>>,
    { strict = true }: { strict?: boolean } = {},
  ): LoadReport {
    return loadState(this, state, strict);
  }

  /** Moves to a device. The tensors of this build live on one device: this checks that it is the one asked for. */
  to(device: string): this {
    setDevice(device);
    return this;
  }

  /** Frees all parameters and buffers. */
  dispose(): void {
    for (const module of this.modules()) {
      for (const [, member] of members(module)) if (member instanceof Tensor) member.dispose();
    }
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The name of the class, as messages and tables show it. */
  get type(): string {
    return this.kerasType ?? this.constructor.name;
  }

  /** What `new` would need to make this module again, as JSON; see `registerModule`. */
  config(): Record<string, unknown> {
    return {};
  }

  /** The arguments that `toString()` shows, in PyTorch's words. */
  extraRepr(): string {
    return '';
  }

  /** The module and what is in it, as PyTorch prints it. */
  override toString(): string {
    return printTree(this);
  }

  [inspect.custom](): string {
    return this.toString();
  }

  /**
   * Keras's table of the layers, with their output shapes and parameters. A module that does not know the shape of its
   * input needs `inputShape` for the output shapes, which are `?` otherwise.
   */
  summary(options: SummaryOptions = {}): string {
    return summarize(this, options);
  }

  /** The shapes of the inputs without the batch axis, where the module knows them; Keras's `inputShape`. */
  get inputShapes(): Shape[] | null {
    return this.#inputShapes;
  }

  set inputShapes(shapes: Shape[] | null) {
    this.#inputShapes = shapes;
  }

  /** @internal The lines of the summary. */
  summaryEntries(): SummaryEntry[] {
    const children = Array.from(this.namedChildren(), ([name, module]) => ({ name, module }));
    return children.length > 0 ? children : [{ name: this.name ?? snakeCase(this.type), module: this }];
  }
}

/** The enumerable properties of a module, arrays flattened: 'blocks.0'. */
function* members(module: Module): IterableIterator<[name: string, value: unknown]> {
  for (const [key, value] of Object.entries(module)) yield* spread(key, value);
}

function* spread(key: string, value: unknown): IterableIterator<[name: string, value: unknown]> {
  if (!Array.isArray(value)) yield [key, value];
  else for (const [i, item] of value.entries()) yield* spread(`${key}.${i}`, item);
}

function join(prefix: string, name: string): string {
  return prefix === '' ? name : `${prefix}.${name}`;
}

function shapeOfFirst(args: readonly unknown[]): Shape {
  const first = many(args[0])[0];
  if (first instanceof Tensor) return first.shape.slice(1);
  throw wantsTensor(first);
}

function wantsTensor(value: unknown): ConvgradError {
  return new ConvgradError('ERR_VALUE', `wants a tensor, got ${value === null ? 'null' : typeof value}`);
}

/** Runs `body` with the module in inference mode, without gradients, and frees what it leaves behind. */
export function evaluating<R>(module: Module, body: () => R): R {
  const modes = module.modules().map((inner) => [inner, inner.training] as const);
  module.eval();
  try {
    return tidy(() => noGrad(body));
  } finally {
    for (const [inner, mode] of modes) inner.training = mode;
  }
}
