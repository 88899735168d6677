import { noGrad } from '../autograd';
import { ConvgradError } from '../errors';
import { keep, tidy } from '../memory';
import type { DType, Handle } from '../native';
import { full, sameShape, scalar, Tensor } from '../tensor';

/** Parameters, plain or with their names (`module.namedParameters()`): names make `stateDict()` readable and stable. */
export type Parameters = Iterable<Tensor> | Iterable<readonly [name: string, parameter: Tensor]>;

/** Parameters with options of their own, which win over those of the optimizer. */
export type ParameterGroup<Options> = { params: Parameters } & Partial<Options>;

/** One tensor of an optimizer's state for every parameter that has trained, by the name of what it is. */
type Slots = Map<string, Tensor<DType>>;

/** A group of parameters that share their options. */
export class Group<Options extends { lr: number }> {
  readonly options: Readonly<Options>;
  /** @internal The learning rate on the device, where a recorded step reads it. */
  readonly rate: Tensor = keep(scalar(0));
  #lr = 0;

  constructor(
    /** By name. */
    readonly parameters: ReadonlyMap<string, Tensor>,
    options: Options,
  ) {
    this.options = options;
    this.lr = options.lr;
  }

  /** The learning rate. */
  get lr(): number {
    return this.#lr;
  }

  /** Takes effect from the next step. */
  set lr(lr: number) {
    if (!(lr >= 0 && lr < Infinity)) {
      throw new ConvgradError('ERR_VALUE', `optimizer: lr must be a finite number of at least 0, got ${lr}`);
    }
    tidy(() => this.rate.assign(scalar(lr)));
    this.#lr = lr;
  }
}

/** What a step works on: the parameters that have a gradient, with their gradients and their state, in order. */
export interface StepOperands {
  params: Handle[];
  grads: Handle[];
  /** The state tensors of one name, made when a parameter trains for the first time: zeros like it. */
  slot(name: string): Handle[];
  /** The step counts: int32 scalars. */
  steps(): Handle[];
  rate: Handle;
}

/**
 * The base of optimizers. `step()` changes, in place and with one command a group, the parameters that require a
 * gradient and have one; the others are left alone, and so is their state.
 */
export abstract class Optimizer<Options extends { lr: number } = { lr: number }> {
  /** The parameters, in groups that share their options; one group, unless several were given. */
  readonly groups: readonly Group<Options>[];
  private readonly state = new Map<Tensor, Slots>();

  protected constructor(parameters: Parameters | readonly ParameterGroup<Options>[], options: Options) {
    this.groups = groupsOf(parameters, options);
    for (const group of this.groups) this.validate(group.options);
  }

  /** Throws ERR_VALUE for options that make no sense. */
  protected abstract validate(options: Options): void;
  protected abstract update(options: Options, operands: StepOperands): void;

  /** The learning rate; setting it sets that of every group. */
  get lr(): number {
    return this.groups[0]!.lr;
  }

  set lr(lr: number) {
    for (const group of this.groups) group.lr = lr;
  }

  /** Updates the parameters by their gradients. */
  step(): void {
    for (const group of this.groups) {
      const active = [...group.parameters.values()].filter((p) => p.requiresGrad && p.grad !== null);
      if (active.length === 0) continue;
      const slots = (name: string, make: (p: Tensor) => Tensor<DType>) =>
        active.map((parameter) => this.slotOf(parameter, name, make).handle);
      noGrad(() =>
        this.update(group.options, {
          params: active.map((parameter) => parameter.handle),
          grads: active.map((parameter) => parameter.grad!.handle),
          slot: (name) => slots(name, (parameter) => full(parameter.shape, 0)),
          steps: () => slots('step', () => full([], 0, 'int32')),
          rate: group.rate.handle,
        }),
      );
    }
  }

  private slotOf(parameter: Tensor, name: string, make: (parameter: Tensor) => Tensor<DType>): Tensor<DType> {
    let slots = this.state.get(parameter);
    if (!slots) this.state.set(parameter, (slots = new Map()));
    let slot = slots.get(name);
    if (!slot) slots.set(name, (slot = keep(make(parameter))));
    return slot;
  }

  /** Disposes the gradients; a step without a new backward pass then does nothing. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) {
      parameter.grad?.dispose();
      parameter.grad = null;
    }
  }

  /** All parameters, of all groups. */
  parameters(): Tensor[] {
    return this.groups.flatMap((group) => [...group.parameters.values()]);
  }

  /**
   * The state: `<parameter>.<what>` for every parameter that has trained, and `group<i>.lr`. The tensors belong to the
   * optimizer and change with its next step.
   */
  stateDict(): Map<string, Tensor<DType>> {
    const dict = new Map<string, Tensor<DType>>();
    this.groups.forEach((group, i) => {
      dict.set(`group${i}.lr`, group.rate);
      for (const [name, parameter] of group.parameters) {
        for (const [what, slot] of this.state.get(parameter) ?? []) dict.set(`${name}.${what}`, slot);
      }
    });
    return dict;
  }

  /**
   * Copies a state that `stateDict()` gave, in this process or another. Blocks until the learning rates are read.
   * @throws ERR_VALUE naming what does not belong to this optimizer's parameters, or has another shape
   */
  loadStateDict(dict: ReadonlyMap<string, Tensor<DType>> | Readonly<Record<string, Tensor<DType>>>): void {
    const given = dict instanceof Map ? (dict as ReadonlyMap<string, Tensor<DType>>) : new Map(Object.entries(dict));
    const owners = new Map(this.groups.flatMap((group) => [...group.parameters]));
    const rates = new Map(this.groups.map((group, i) => [`group${i}.lr`, group]));
    const slots: [parameter: Tensor, what: string, value: Tensor<DType>][] = [];
    for (const [key, value] of given) {
      if (rates.has(key)) continue;
      const dot = key.lastIndexOf('.');
      const [owner, what] = [owners.get(key.slice(0, dot)), key.slice(dot + 1)];
      if (!owner)
        throw new ConvgradError('ERR_VALUE', `loadStateDict: ${key} belongs to no parameter of this optimizer`);
      const [shape, dtype] = what === 'step' ? [[], 'int32'] : [owner.shape, 'float32'];
      if (!sameShape(value.shape, shape) || value.dtype !== dtype) {
        throw new ConvgradError(
          'ERR_VALUE',
          `loadStateDict: ${key} is ${value.dtype} [${value.shape.join(', ')}], wanted ${dtype} [${shape.join(', ')}]`,
        );
      }
      slots.push([owner, what, value]);
    }
    this.clearState();
    for (const [parameter, what, value] of slots) {
      this.slotOf(parameter, what, () => full(value.shape, 0, value.dtype)).assign(value);
    }
    for (const [key, group] of rates) {
      const rate = given.get(key);
      if (rate) group.lr = rate.item();
    }
  }

  private clearState(): void {
    for (const slots of this.state.values()) for (const slot of slots.values()) slot.dispose();
    this.state.clear();
  }

  /** Gives the memory of the state back; the parameters stay. */
  dispose(): void {
    this.clearState();
    for (const group of this.groups) group.rate.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function groupsOf<Options extends { lr: number }>(
  parameters: Parameters | readonly ParameterGroup<Options>[],
  options: Options,
): Group<Options>[] {
  const items = listed(parameters as Iterable<Tensor | readonly [string, Tensor] | ParameterGroup<Options>>);
  const isGroup = (item: unknown): item is ParameterGroup<Options> =>
    typeof item === 'object' && item !== null && 'params' in item;
  const lists = items.length > 0 && items.every(isGroup) ? items : [{ params: items as unknown as Parameters }];
  const seen = new Set<Tensor>();
  const names = new Set<string>();
  let position = 0;
  const groups = lists.map(({ params, ...own }) => {
    const named = new Map<string, Tensor>();
    for (const item of listed<unknown>(params)) {
      const [name, parameter] = Array.isArray(item)
        ? (item as unknown as readonly [string, Tensor])
        : [String(position), item as Tensor];
      if (!(parameter instanceof Tensor)) throw noParameters(parameter);
      position += 1;
      if (seen.has(parameter) || names.has(name)) {
        throw new ConvgradError('ERR_VALUE', `optimizer: parameter ${name} is given twice`);
      }
      seen.add(parameter);
      names.add(name);
      named.set(name, parameter);
    }
    return new Group<Options>(named, { ...options, ...own } as Options);
  });
  if (position === 0) throw new ConvgradError('ERR_VALUE', 'optimizer: there are no parameters');
  return groups;
}

function listed<T>(parameters: Iterable<T>): T[] {
  if (typeof (parameters as Partial<Iterable<T>> | undefined)?.[Symbol.iterator] === 'function') return [...parameters];
  throw noParameters(parameters);
}

function noParameters(found: unknown): ConvgradError {
  const what = typeof found === 'function' || typeof found === 'object' ? found?.constructor.name : typeof found;
  return new ConvgradError(
    'ERR_VALUE',
    `optimizer: parameters must be tensors, such as module.parameters(), got ${what ?? 'null'}`,
  );
}

/** Throws ERR_VALUE unless `low <= value < high`. */
export function checkRange(optimizer: string, option: string, value: number, low: number, high: number): void {
  if (value >= low && value < high) return;
  throw new ConvgradError('ERR_VALUE', `${optimizer}: ${option} must be in [${low}, ${high}), got ${value}`);
}
