import { ConvgradError } from './errors';
import { adopt, keep, tidy } from './memory';
import { native, type DType } from './native';
import { ones, sameShape, Tensor, zeros, type GraphNode } from './tensor';

/** Tensors by the names of an op's operands. */
type Named = Record<string, Tensor<DType> | null | undefined>;

/** For each input that needs one, how to compute its gradient. */
export type Gradients = Record<string, () => Tensor>;

let recording = true;

/** Whether ops are being recorded. */
export function isGradEnabled(): boolean {
  return recording;
}

/** Runs `body` without recording: no gradients flow through what it computes, and nothing is kept for them. */
export function noGrad<R>(body: () => R): R {
  const before = recording;
  recording = false;
  try {
    return body();
  } finally {
    recording = before;
  }
}

/** Whether an op on these inputs will be recorded: lets an op decide what to compute or to keep. */
export function needsGradient(...inputs: (Tensor<DType> | null | undefined)[]): boolean {
  return recording && inputs.some((input) => input?.requiresGrad);
}

let nodesMade = 0;

/**
 * An op on the tape. It lives as long as its output tensor or an op that used that output, and is freed, with what it
 * saved, when both are gone or when the backward pass has run through it.
 */
class Node implements GraphNode {
  /** Ops are made in an order in which inputs come first, so going down by number visits users before their inputs. */
  readonly order = nodesMade++;
  private users = 1; // the output tensor, and every op that used it
  private readonly savedVersions: Record<string, number> = {};
  freed = false;

  constructor(
    readonly name: string,
    readonly inputs: Map<string, Tensor | Node>,
    readonly inputShapes: Map<string, readonly number[]>,
    private readonly saved: Record<string, Tensor<DType>>,
    private readonly gradients: (dy: Tensor, saved: Named) => Gradients,
  ) {
    for (const input of inputs.values()) if (input instanceof Node) input.retain();
    for (const [key, tensor] of Object.entries(saved)) {
      native.compute(tensor.handle);
      this.savedVersions[key] = native.version(tensor.handle);
    }
  }

  /** The gradient functions for an incoming gradient. */
  differentiate(dy: Tensor): Gradients {
    if (this.freed) {
      throw new ConvgradError(
        'ERR_STATE',
        `backward: the graph of ${this.name} was freed by an earlier backward; pass { retainGraph: true } to that one`,
      );
    }
    for (const [key, tensor] of Object.entries(this.saved)) {
      if (native.version(tensor.handle) !== this.savedVersions[key]) {
        throw new ConvgradError(
          'ERR_STATE',
          `backward: ${key} of ${this.name}, which its gradient needs, was changed in place after the forward pass`,
        );
      }
    }
    return this.gradients(dy, this.saved);
  }

  retain(): void {
    this.users += 1;
  }

  release(): void {
    // A loop and not recursion: a deep network's chain of nodes would overflow the stack.
    const pending: Node[] = [this];
    for (let node = pending.pop(); node; node = pending.pop()) {
      node.users -= 1;
      if (node.users === 0) pending.push(...node.free());
    }
  }

  /** Gives up what was saved. Returns the nodes that this one no longer uses. */
  free(): Node[] {
    if (this.freed) return [];
    this.freed = true;
    for (const tensor of Object.values(this.saved)) tensor.dispose();
    const used = [...this.inputs.values()].filter((input) => input instanceof Node);
    this.inputs.clear();
    return used;
  }
}

/**
 * Records an op, if anything it was given requires a gradient.
 *
 * @param name the op's name, for messages
 * @param output what the op computed
 * @param inputs the differentiable inputs, by name
 * @param saved the tensors that the gradient needs, by name; the tape keeps its own references to them
 * @param gradients given the output's gradient and what was saved, a function for each input's gradient; only those that
 *   are needed are called. They may return `dy` itself. What several of them share may be computed before.
 * @returns the output
 */
export function differentiable<S extends Named>(
  name: string,
  output: Tensor,
  inputs: Named,
  saved: S,
  gradients: (dy: Tensor, saved: S) => Gradients,
): Tensor {
  if (!recording) return output;
  const sources = new Map<string, Tensor | Node>();
  const shapes = new Map<string, readonly number[]>();
  for (const [key, input] of Object.entries(inputs)) {
    if (!input?.requiresGrad) continue;
    sources.set(key, (input.node as Node | null) ?? (input as Tensor));
    shapes.set(key, input.shape);
  }
  if (sources.size === 0) return output;
  const kept: Record<string, Tensor<DType>> = {};
  for (const [key, tensor] of Object.entries(saved)) if (tensor) kept[key] = keep(tensor.detach());
  output.node = new Node(name, sources, shapes, kept, gradients as (dy: Tensor, saved: Named) => Gradients);
  return output;
}

export interface BackwardOptions {
  /** The gradient of what is really minimised with respect to this tensor. Default: 1, for a tensor of one element. */
  gradient?: Tensor;
  /** Keeps the graph for another backward pass. Default: it is freed as the pass goes along. */
  retainGraph?: boolean;
}

declare module './tensor' {
  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- merging wants the class's own type parameters
  interface Tensor<D extends DType = 'float32'> {
    /** Adds to `grad` of every leaf that requires a gradient the derivative of this tensor with respect to it. */
    backward(options?: BackwardOptions): void;
  }
}

Tensor.prototype.backward = function (this: Tensor, options?: BackwardOptions) {
  backward(this, options);
};

/** Adds to `grad` of every leaf that requires a gradient the derivative of this tensor with respect to it. */
export function backward(output: Tensor, options: BackwardOptions = {}): void {
  for (const [leaf, gradient] of differentiate(output, options)) {
    if (leaf.isDisposed) {
      gradient.dispose();
    } else if (leaf.grad) {
      leaf.grad = addUp(leaf.grad, gradient);
    } else {
      leaf.grad = gradient;
    }
  }
}

/** The derivatives of `output` with respect to the leaves it was computed from. The caller owns the tensors. */
function differentiate(output: Tensor, { gradient, retainGraph = false }: BackwardOptions): Map<Tensor, Tensor> {
  if (!output.requiresGrad) {
    throw new ConvgradError('ERR_STATE', 'backward: nothing that this tensor was computed from requires a gradient');
  }
  if (!gradient && output.size !== 1) {
    throw new ConvgradError(
      'ERR_SHAPE',
      `backward: only a tensor of one element has a gradient of its own, this one has shape [${output.shape.join(', ')}]; pass { gradient }`,
    );
  }
  if (gradient && !sameShape(gradient.shape, output.shape)) {
    throw new ConvgradError(
      'ERR_SHAPE',
      `backward: gradient has shape [${gradient.shape.join(', ')}], the tensor has [${output.shape.join(', ')}]`,
    );
  }
  if (gradient && gradient.dtype !== 'float32') {
    throw new ConvgradError('ERR_DTYPE', `backward: gradient must be float32, got ${String(gradient.dtype)}`);
  }
  const pass = new BackwardPass(retainGraph);
  try {
    return noGrad(() => pass.run(output, gradient));
  } catch (error) {
    pass.abandon();
    throw error;
  }
}

class BackwardPass {
  private readonly gradients = new Map<Node | Tensor, Tensor>();

  constructor(private readonly retainGraph: boolean) {}

  run(output: Tensor, gradient: Tensor | undefined): Map<Tensor, Tensor> {
    const start = (output.node as Node | null) ?? output;
    this.add(start, keep(gradient ? gradient.detach() : ones(output.shape)));
    const nodes = reachable(start);
    // Held until their turn: freeing a node gives up its inputs, whose own tensors may be gone already.
    for (const node of nodes) node.retain();
    let next = 0;
    try {
      for (; next < nodes.length; nodes[next++]!.release()) this.visit(nodes[next]!);
    } finally {
      for (; next < nodes.length; next++) nodes[next]!.release();
    }
    return this.gradients as Map<Tensor, Tensor>;
  }

  private visit(node: Node): void {
    const dy = this.gradients.get(node);
    this.gradients.delete(node);
    if (!dy) return;
    try {
      this.differentiateNode(node, dy);
    } finally {
      dy.dispose();
    }
    if (!this.retainGraph) for (const used of node.free()) used.release();
  }

  private differentiateNode(node: Node, dy: Tensor): void {
    tidy(() => {
      const thunks = node.differentiate(dy); // may compute what several of them share
      for (const [key, source] of node.inputs) {
        const thunk = thunks[key];
        if (!thunk) throw new ConvgradError('ERR_INTERNAL', `backward: ${node.name} has no gradient for ${key}`);
        // A reference of the tape's own, whatever the thunk returned.
        const gradient = keep(tidy(() => thunk().detach()));
        const wanted = node.inputShapes.get(key)!;
        if (!sameShape(gradient.shape, wanted)) {
          throw new ConvgradError(
            'ERR_INTERNAL',
            `backward: the gradient of ${node.name} for ${key} has shape [${gradient.shape.join(', ')}], wanted [${wanted.join(', ')}]`,
          );
        }
        this.add(source, gradient);
      }
    });
  }

  private add(source: Node | Tensor, gradient: Tensor): void {
    const before = this.gradients.get(source);
    if (!before) {
      this.gradients.set(source, gradient);
      return;
    }
    this.gradients.set(source, addUp(before, gradient));
  }

  abandon(): void {
    for (const gradient of this.gradients.values()) gradient.dispose();
  }
}

/** The sum of two gradients, which it takes the place of. */
function addUp(a: Tensor, b: Tensor): Tensor {
  const sum = keep(new Tensor(native.binary(a.handle, b.handle, 'add', 0)));
  a.dispose();
  b.dispose();
  return sum;
}

/** The nodes that a gradient can reach, users before their inputs. */
function reachable(start: Node | Tensor): Node[] {
  const found = new Set<Node>();
  const pending = start instanceof Node ? [start] : [];
  for (let node = pending.pop(); node; node = pending.pop()) {
    if (found.has(node)) continue;
    found.add(node);
    for (const input of node.inputs.values()) if (input instanceof Node) pending.push(input);
  }
  return [...found].sort((a, b) => b.order - a.order);
}

/**
 * The value of a scalar function and its gradients with respect to its arguments.
 * The arguments' own `requiresGrad`, `grad` and graph are left alone. Gradients cannot be differentiated again.
 */
export function valueAndGrad<A extends Tensor[]>(
  fn: (...args: A) => Tensor,
): (...args: A) => { value: Tensor; grads: { [I in keyof A]: Tensor } } {
  return (...args) => {
    const leaves = args.map((arg) => {
      const leaf = arg.detach();
      leaf.requiresGrad = true;
      return leaf;
    });
    try {
      const value = fn(...(leaves as A));
      if (!value.requiresGrad) {
        throw new ConvgradError(
          'ERR_STATE',
          'grad: the function does not depend on its arguments by ops that are recorded (gradients of gradients are not)',
        );
      }
      const byLeaf = differentiate(value, {});
      const grads = leaves.map((leaf) => adopt(byLeaf.get(leaf) ?? zeros(leaf.shape)));
      for (const [leaf, gradient] of byLeaf) if (!leaves.includes(leaf)) gradient.dispose();
      const result = value.detach();
      value.dispose();
      return { value: result, grads: grads as { [I in keyof A]: Tensor } };
    } finally {
      for (const leaf of leaves) leaf.dispose();
    }
  };
}

/** The gradients of a scalar function with respect to its arguments. */
export function grad<A extends Tensor[]>(fn: (...args: A) => Tensor): (...args: A) => { [I in keyof A]: Tensor } {
  const both = valueAndGrad(fn);
  return (...args) => {
    const { value, grads } = both(...args);
    value.dispose();
    return grads;
  };
}
