import { ConvgradError } from '../errors';
import { release } from '../memory';
import type { DType, Shape, Tensor } from '../tensor';
import { fuse, MOST_FUSED } from './fuse';
import { Module } from './module';
import { uniqueNames } from './naming';
import { registerModule } from './registry';
import type { SummaryEntry } from './summary';
import { many, mapMany, SymbolicTensor, type OneOrMany, type SymbolicCall } from './symbolic';

/**
 * The start of a functional model: a place for a tensor of this shape (without the batch axis). Keras `Input`.
 *
 *     const x = nn.input({ shape: [32, 32, 3] });
 *     const a = layers.conv2d({ filters: 8, kernelSize: 3, padding: 'same' })(x);
 *     const b = layers.conv2d({ filters: 8, kernelSize: 1 })(x);
 *     const model = new nn.Graph({ inputs: x, outputs: layers.add()([a, b]) });
 */
export function input({ shape, name }: { shape: Shape; name?: string }): SymbolicTensor {
  if (!shape.every((dim) => Number.isInteger(dim) && dim > 0)) {
    throw new ConvgradError(
      'ERR_SHAPE',
      `input: shape must be positive integers, without the batch axis, got [${shape.join(', ')}]`,
    );
  }
  return new SymbolicTensor(shape, { module: null, inputs: [] }, 0, name);
}

export interface GraphOptions<O> {
  /** Where tensors go in: `input()`s, or results of layers. */
  inputs: OneOrMany<SymbolicTensor>;
  /** What the model returns: one tensor, or a list if this is one. */
  outputs: O;
  name?: string;
}

type LayerCall = SymbolicCall & { readonly module: Module };

/** A call of a layer, and what the order of all calls tells about it. */
interface Step {
  call: LayerCall;
  /** Calls whose results nobody needs after this one. */
  lastUseOf: SymbolicCall[];
  /** The call that alone uses this one's result, and nothing else. */
  onlyUser: LayerCall | null;
}

/**
 * A model of layers that branch and join (Keras `Model(inputs, outputs)`). A layer may be called several times, and
 * shares its weights then. With several inputs call it as `graph(a, b)` or `graph([a, b])`.
 */
export class Graph<O extends OneOrMany<SymbolicTensor> = OneOrMany<SymbolicTensor>> extends Module {
  readonly inputs: readonly SymbolicTensor[];
  readonly outputs: O;
  readonly #steps: Step[];
  readonly #stepOf: Map<LayerCall, Step>;
  readonly #names: Map<Module, string>;

  constructor({ inputs, outputs, name }: GraphOptions<O>) {
    super();
    this.name = name;
    this.inputs = many(inputs);
    this.outputs = outputs;
    const calls = callsBetween(this.inputs, many(outputs as OneOrMany<SymbolicTensor>));
    this.#steps = plan(calls, this.inputs, many(outputs as OneOrMany<SymbolicTensor>));
    this.#stepOf = new Map(this.#steps.map((step) => [step.call, step]));
    const layers = [...new Set(calls.map(({ module }) => module))];
    const names = uniqueNames(layers);
    this.#names = new Map(layers.map((layer, i) => [layer, names[i]!]));
    this.inputShapes = this.inputs.map(({ shape }) => shape);
  }

  get layers(): readonly Module[] {
    return [...this.#names.keys()];
  }

  /** The layer of a name. Throws ERR_VALUE when there is none. */
  getLayer(name: string): Module {
    for (const [layer, known] of this.#names) if (known === name) return layer;
    throw new ConvgradError(
      'ERR_VALUE',
      `no layer is named '${name}': there are ${[...this.#names.values()].join(', ')}`,
    );
  }

  /** What a layer's first call returns in this model (the first of its results that is used), to build on it. */
  outputOf(name: string): SymbolicTensor {
    const layer = this.getLayer(name);
    const call = this.#steps.find((step) => step.call.module === layer)!.call;
    const users = [
      ...this.#steps.flatMap((step) => step.call.inputs.flatMap((input) => many(input))),
      ...this.#outputs,
    ];
    return users.find((symbolic) => symbolic.call === call && symbolic.index === 0)!;
  }

  get #outputs(): readonly SymbolicTensor[] {
    return many(this.outputs as OneOrMany<SymbolicTensor>);
  }

  override *namedChildren(): IterableIterator<[string, Module]> {
    for (const [layer, name] of this.#names) yield [name, layer];
  }

  forward(...inputs: OneOrMany<Tensor<DType>>[]): O extends SymbolicTensor ? Tensor : Tensor[] {
    return this.#run(inputs, false) as O extends SymbolicTensor ? Tensor : Tensor[];
  }

  override get finalActivation(): 'softmax' | 'sigmoid' | null {
    const [output, ...others] = this.#outputs;
    return others.length > 0 ? null : (output!.call.module?.finalActivation ?? null);
  }

  protected override forwardLogits(...inputs: OneOrMany<Tensor<DType>>[]): Tensor {
    return many(this.#run(inputs, true))[0]!;
  }

  #run(args: OneOrMany<Tensor<DType>>[], logits: boolean): OneOrMany<Tensor> {
    const tensors = args.flatMap((arg) => many(arg)) as Tensor[]; // of whatever dtypes the first layers take
    if (tensors.length !== this.inputs.length) {
      throw new ConvgradError('ERR_VALUE', `wants ${this.inputs.length} inputs, got ${tensors.length}`);
    }
    const given = new Map(this.inputs.map((symbolic, i) => [symbolic, tensors[i]!]));
    const results = new Map<SymbolicCall, OneOrMany<Tensor>>();
    const valueOf = (symbolic: SymbolicTensor): Tensor =>
      given.get(symbolic) ?? many(results.get(symbolic.call)!)[symbolic.index]!;
    const final = logits ? this.#outputs[0]!.call : null;

    for (const step of this.#steps) {
      const { call, lastUseOf } = step;
      if (!results.has(call)) {
        const inputs = call.inputs.map((input) => mapMany<SymbolicTensor, Tensor>(input, valueOf));
        const chain = this.#chainFrom(step, final);
        const fused = fuse(chain.map(({ module }) => module));
        if (fused) {
          for (const inner of chain.slice(0, fused.length - 1)) results.set(inner, []); // nobody asks for their results
          results.set(chain[fused.length - 1]!, fused.run(inputs[0] as Tensor));
        } else results.set(call, call === final ? call.module.logits(...inputs) : call.module.call(...inputs));
      }
      for (const used of lastUseOf) {
        for (const tensor of many(results.get(used) ?? [])) if (!tensors.includes(tensor)) release(tensor);
      }
    }
    return mapMany<SymbolicTensor, Tensor>(this.outputs, valueOf);
  }

  /** A call and those after it that could be one operation with it: nothing else uses the results between them. */
  #chainFrom({ call, onlyUser }: Step, final: SymbolicCall | null): LayerCall[] {
    if (call === final) return []; // of which the logits are wanted
    const chain = [call];
    for (let next = onlyUser; next && next !== final && chain.length < MOST_FUSED;) {
      chain.push(next);
      next = this.#stepOf.get(next)!.onlyUser;
    }
    return chain;
  }

  /** @internal A line for each input and layer; where the model is not a chain, with what each is connected to. */
  override summaryEntries(): SummaryEntry[] {
    const inputNames = uniqueNames(this.inputs.map(({ name }) => ({ name, type: 'InputLayer' })));
    const nameOf = (symbolic: SymbolicTensor): string => {
      const at = this.inputs.indexOf(symbolic);
      if (at >= 0) return `${inputNames[at]}[0][0]`;
      const calls = this.#steps.filter((step) => step.call.module === symbolic.call.module);
      const node = calls.findIndex((step) => step.call === symbolic.call);
      return `${this.#names.get(symbolic.call.module!)}[${node}][${symbolic.index}]`;
    };
    const sources = (layer: Module): string[] =>
      this.#steps
        .filter((step) => step.call.module === layer)
        .flatMap((step) => step.call.inputs.flatMap((input) => many(input).map(nameOf)));
    const chain = this.#steps.every(
      (step, i) => i === this.#steps.length - 1 || step.onlyUser === this.#steps[i + 1]!.call,
    );
    return [
      ...this.inputs.map(({ shape }, i) => ({
        name: inputNames[i]!,
        module: null,
        shape,
        ...(!chain && { from: [] }),
      })),
      ...this.layers.map((layer) => ({
        name: this.#names.get(layer)!,
        module: layer,
        ...(!chain && { from: sources(layer) }),
      })),
    ];
  }

  override config(): Record<string, unknown> {
    const layers = this.layers;
    const reference = (symbolic: SymbolicTensor): Reference => {
      const at = this.inputs.indexOf(symbolic);
      if (at >= 0) return [at, 0];
      const step = this.#steps.findIndex(({ call }) => call === symbolic.call);
      return [this.inputs.length + step, symbolic.index];
    };
    return {
      inputs: this.inputs.map(({ shape, name }) => ({ shape, name })),
      layers,
      calls: this.#steps.map(({ call }) => ({
        layer: layers.indexOf(call.module),
        inputs: call.inputs.map((input) => ({ list: Array.isArray(input), from: many(input).map(reference) })),
      })),
      outputs: { list: Array.isArray(this.outputs), from: this.#outputs.map(reference) },
    };
  }
}

/** Which input or call (inputs come first), and which of its results. */
type Reference = [node: number, index: number];

interface GraphConfig {
  inputs: { shape: Shape; name?: string }[];
  layers: Module[];
  calls: { layer: number; inputs: { list: boolean; from: Reference[] }[] }[];
  outputs: { list: boolean; from: Reference[] };
}

/** Makes the calls of a configuration anew. They refer to earlier ones only, so that there can be no cycle. */
function graphFromConfig({ inputs, layers, calls, outputs }: GraphConfig): Graph {
  const nodes: (readonly SymbolicTensor[])[] = inputs.map((options) => [input(options)]);
  const resolve = ({ list, from }: { list: boolean; from: Reference[] }): OneOrMany<SymbolicTensor> => {
    const found = from.map(([node, index]) => {
      const symbolic = nodes[node]?.[index];
      if (symbolic) return symbolic;
      throw new ConvgradError(
        'ERR_FORMAT',
        `Graph: call ${nodes.length - inputs.length} uses node ${node}, which does not come before it: the graph has a cycle or a gap`,
      );
    });
    return list ? found : found[0]!;
  };
  for (const call of calls) {
    const layer = layers[call.layer];
    if (!layer) throw new ConvgradError('ERR_FORMAT', `Graph: there is no layer ${call.layer}`);
    nodes.push(many(layer.apply(...call.inputs.map(resolve)) as OneOrMany<SymbolicTensor>));
  }
  return new Graph({ inputs: nodes.slice(0, inputs.length).map(([symbolic]) => symbolic!), outputs: resolve(outputs) });
}

/**
 * The calls that lead from the inputs to the outputs, each after those it depends on.
 * @throws ERR_VALUE when an output depends on something else, or an input leads nowhere
 */
function callsBetween(inputs: readonly SymbolicTensor[], outputs: readonly SymbolicTensor[]): LayerCall[] {
  const given = new Set(inputs);
  const reached = new Set<SymbolicTensor>();
  const ordered = new Set<SymbolicCall>();
  const visit = (symbolic: SymbolicTensor, user: string): void => {
    if (!(symbolic instanceof SymbolicTensor)) {
      throw new ConvgradError('ERR_VALUE', `Graph: ${user} must be a symbolic tensor, made by input() or a layer`);
    }
    if (given.has(symbolic)) {
      reached.add(symbolic);
      return;
    }
    const { call } = symbolic;
    if (ordered.has(call)) return;
    if (!call.module) {
      const name = symbolic.name === undefined ? 'an input' : `the input '${symbolic.name}'`;
      throw new ConvgradError(
        'ERR_VALUE',
        `Graph: disconnected: ${user} depends on ${name} of shape [${symbolic.shape.join(', ')}], which is not among the model's inputs`,
      );
    }
    const user_ = call.module.name ?? call.module.type;
    for (const input of call.inputs) for (const source of many(input)) visit(source, user_);
    ordered.add(call);
  };
  outputs.forEach((output, i) => visit(output, `output ${i}`));
  inputs.forEach((symbolic, i) => {
    if (reached.has(symbolic)) return;
    throw new ConvgradError('ERR_VALUE', `Graph: disconnected: input ${i} does not lead to any output`);
  });
  return [...ordered] as LayerCall[];
}

function plan(calls: LayerCall[], inputs: readonly SymbolicTensor[], outputs: readonly SymbolicTensor[]): Step[] {
  const kept = new Set<SymbolicCall>(outputs.map(({ call }) => call));
  const lastUser = new Map<SymbolicCall, LayerCall>();
  const users = new Map<SymbolicCall, LayerCall[]>();
  for (const call of calls) {
    for (const source of call.inputs.flatMap((input) => many(input))) {
      if (inputs.includes(source)) continue;
      lastUser.set(source.call, call);
      users.set(source.call, [...(users.get(source.call) ?? []), call]);
    }
  }
  const takesOne = (call: LayerCall): boolean => call.inputs.length === 1 && !Array.isArray(call.inputs[0]);
  return calls.map((call) => {
    const [user, ...others] = users.get(call) ?? [];
    return {
      call,
      lastUseOf: [...lastUser].flatMap(([used, last]) => (last === call && !kept.has(used) ? [used] : [])),
      onlyUser: user && others.length === 0 && takesOne(user) && !kept.has(call) ? user : null,
    };
  });
}

registerModule('Graph', Graph, graphFromConfig);
