import { ConvgradError } from '../errors';
import { release } from '../memory';
import type { DType, Shape, Tensor } from '../tensor';
import { fuse, MOST_FUSED } from './fuse';
import { within } from './location';
import { Module } from './module';
import { uniqueNames } from './naming';
import { registerModule } from './registry';

/** A layer, or a layer with its name in front, as in PyTorch's OrderedDict. */
export type SequentialItem = Module | readonly [name: string, layer: Module];

/**
 * Layers one after the other (PyTorch `nn.Sequential`, Keras `Sequential`).
 *
 *     new nn.Sequential(new nn.Conv2d(3, 8, { kernelSize: 3 }), new nn.ReLU(), new nn.Flatten())
 *     new nn.Sequential(['conv', new nn.Conv2d(3, 8, { kernelSize: 3 })], ['relu', new nn.ReLU()])
 *
 * PyTorch's layers go by their index ('0.weight'), Keras's by their names ('conv2d.weight'). When the first layer says
 * its `inputShape`, weights are made as layers are added, and a layer that does not fit is reported where it is added.
 *
 * A convolution or dense layer and the activation after it run as one operation, in training too, unless a hook watches;
 * so does a convolution with the max pooling of 2x2 windows behind it.
 */
export class Sequential extends Module {
  readonly #items: { name: string | undefined; layer: Module }[] = [];
  #outputShape: Shape | null = null;
  #knownNames: string[] | null = null;

  constructor(...layers: (SequentialItem | readonly SequentialItem[])[]) {
    super();
    for (const item of layers) {
      // A layer, one with its name in front, or a list of layers, which is how Keras's Sequential takes them.
      if (Array.isArray(item) && typeof item[0] !== 'string') this.push(...(item as SequentialItem[]));
      else this.add(item as SequentialItem);
    }
  }

  /**
   * Appends a layer.
   * @throws ERR_VALUE when its name is taken; ERR_SHAPE when it does not fit behind the layers before, if their shapes
   *   are known
   */
  add(item: SequentialItem): this {
    const [name, layer] = Array.isArray(item) ? (item as [string, Module]) : [(item as Module)?.name, item as Module];
    if (!(layer instanceof Module)) {
      throw new ConvgradError('ERR_VALUE', `Sequential: wants layers, item ${this.length} is ${typeof layer}`);
    }
    this.#items.push({ name, layer });
    this.#knownNames = null;
    try {
      this.#names();
      if (this.length === 1 && layer.inputShapes) this.#outputShape = (this.inputShapes = layer.inputShapes)[0]!;
      const shape = this.#outputShape;
      if (shape) this.#outputShape = within(this, () => layer.outputShape(shape)) as Shape;
    } catch (error) {
      this.#items.pop();
      this.#knownNames = null;
      throw error;
    }
    return this;
  }

  push(...layers: SequentialItem[]): this {
    for (const layer of layers) this.add(layer);
    return this;
  }

  override get length(): number {
    return this.#items.length;
  }

  get layers(): readonly Module[] {
    return this.#items.map(({ layer }) => layer);
  }

  /** The layer at an index; a negative one counts from the end. */
  at(index: number): Module | undefined {
    return this.#items.at(index)?.layer;
  }

  /** The layer of a name. Throws ERR_VALUE when there is none. */
  getLayer(name: string): Module {
    const names = this.#names();
    const found = this.at(names.indexOf(name));
    if (!names.includes(name) || !found) {
      throw new ConvgradError('ERR_VALUE', `no layer is named '${name}': there are ${names.join(', ')}`);
    }
    return found;
  }

  [Symbol.iterator](): IterableIterator<Module> {
    return this.layers.values();
  }

  override *namedChildren(): IterableIterator<[string, Module]> {
    const names = this.#names();
    for (const [i, { layer }] of this.#items.entries()) yield [names[i]!, layer];
  }

  override build(inputShape: Shape): this {
    super.build(inputShape);
    this.inputShapes ??= [inputShape];
    return this;
  }

  forward(x: Tensor<DType>): Tensor {
    return this.#runFirst(this.length, x);
  }

  override get finalActivation(): 'softmax' | 'sigmoid' | null {
    return this.at(-1)?.finalActivation ?? null;
  }

  protected override forwardLogits(x: Tensor<DType>): Tensor {
    return this.at(-1)!.logits(this.#runFirst(this.length - 1, x));
  }

  override config(): Record<string, unknown> {
    return { layers: this.#items.map(({ name, layer }) => (name === undefined ? layer : [name, layer])) };
  }

  /** Runs the first layers. Each result is freed as soon as the next layer has used it. */
  #runFirst(count: number, input: Tensor<DType>): Tensor {
    let x = input as Tensor; // of whatever dtype the first layer takes
    for (let i = 0; i < count; i++) {
      const layer = this.#items[i]!.layer;
      const fused = fuse(this.layers.slice(i, Math.min(count, i + MOST_FUSED)));
      const y: Tensor = fused ? fused.run(x) : layer(x);
      if (fused) i += fused.length - 1;
      if (x !== input && x !== y) release(x);
      x = y;
    }
    return x;
  }

  /** Layers with a name, and those made by their Keras names, go by name; the others by index. */
  #names(): string[] {
    return (this.#knownNames ??= this.#findNames());
  }

  #findNames(): string[] {
    const names = new Map<Module, string>();
    const byName = this.#items.filter(({ name, layer }) => name !== undefined || layer.kerasType !== undefined);
    const unique = [...new Map(byName.map((item) => [item.layer, item])).values()];
    uniqueNames(unique.map(({ name, layer }) => ({ name, type: layer.type }))).forEach((name, i) =>
      names.set(unique[i]!.layer, name),
    );
    return this.#items.map(({ layer }, i) => names.get(layer) ?? String(i));
  }
}

registerModule('Sequential', Sequential, ({ layers }: { layers: SequentialItem[] }) => new Sequential(...layers));
