import { ConvgradError } from '../errors';
import type { DType } from '../native';
import { failedView, originOf } from '../provenance';
import { Tensor, type Shape } from '../tensor';
import type { Module } from './module';

/** The modules whose calls are running, outermost first. */
const running: Module[] = [];
const located = new WeakSet<object>();

/** Runs the body of a module's call. An error of convgrad's that comes out of it names the module, once. */
export function within<R>(module: Module, body: () => R): R {
  running.push(module);
  try {
    return body();
  } catch (error) {
    if (error instanceof ConvgradError && !located.has(error)) {
      located.add(error);
      prepend(error, describeFailedView(error, module) ?? `${pathOf(module)}: ${error.message}`);
    }
    throw error;
  } finally {
    running.pop();
  }
}

/** Rewrites the message, also where the stack repeats it: the stack keeps pointing at the user's line. */
function prepend(error: ConvgradError, message: string): void {
  const before = error.message;
  error.message = message;
  if (error.stack) error.stack = error.stack.replace(before, () => message);
}

/** `SimpleCNN.fc1 (Linear)`: the place of a module in the outermost one that is running. */
export function pathOf(module: object): string {
  const root = running[0];
  const { type } = module as Module;
  if (!root) return type;
  const rootName = root.name ?? root.type;
  if (root === module) return rootName;
  for (const [path, descendant] of root.namedModules()) {
    if (descendant === module) return `${rootName}.${path} (${type})`;
  }
  return `${rootName}…(${type})`; // held where namedModules() does not look, in a private field for instance
}

/**
 * Checks that x has the features that a dense layer wants, and that every row of it belongs to one sample. The message
 * says which flattening made x: that is where the mistake is.
 */
export function checkFeatures(x: Tensor<DType>, wanted: number): void {
  if (!(x instanceof Tensor)) throw new ConvgradError('ERR_VALUE', 'x must be a tensor');
  if (x.dtype !== 'float32') throw new ConvgradError('ERR_DTYPE', `x must be float32, got ${x.dtype}`);
  const { view, producer } = originOf(x);
  const features = x.shape.at(-1);
  if (view && rowsMixSamples(view.from, x.shape)) {
    throw wrongFeatures(view.from, wanted, `${flattener(view.by)} made [${x.shape.join(', ')}] of`, producer);
  }
  if (features === wanted) return;
  if (view) {
    throw wrongFeatures(view.from, wanted, `${flattener(view.by)} made [${x.shape.join(', ')}] of`, producer, features);
  }
  throw new ConvgradError(
    'ERR_SHAPE',
    `got ${features ?? 'no'} features, wanted ${wanted}: x has shape [${x.shape.join(', ')}]${outputOf(producer)}`,
  );
}

/** Whether rows of a flattened batch straddle its samples: [36, 7, 7, 64] viewed as [49, 2304] does. */
function rowsMixSamples(from: Shape, to: Shape): boolean {
  if (from.length < 3 || to[0] === from[0]) return false;
  const sample = sizeOfSample(from);
  const row = to.at(-1)!;
  return sample % row !== 0 && row % sample !== 0;
}

/** For a view that failed inside `module`: the dense layer that it was meant for, if one wants that many features. */
function describeFailedView(error: ConvgradError, module: Module): string | undefined {
  const failed = failedView(error);
  if (!failed) return undefined;
  const { from, wanted, producer } = failed;
  const features = wanted.at(-1)!;
  for (const [, child] of module.namedModules()) {
    if ((child as { inFeatures?: unknown }).inFeatures !== features || from.length < 3) continue;
    const view = `view([${wanted.join(', ')}]) in ${pathOf(module)} cannot flatten`;
    return `${pathOf(child)}: ${wrongFeatures(from, features, view, producer).message}`;
  }
  return `${pathOf(module)}: ${error.message}${outputOf(producer)}`;
}

function wrongFeatures(
  from: Shape,
  wanted: number,
  what: string,
  producer: object | undefined,
  features = sizeOfSample(from),
): ConvgradError {
  return new ConvgradError(
    'ERR_SHAPE',
    `got ${features} features, wanted ${wanted}: ${what} [${from.join(', ')}]${outputOf(producer)}`,
  );
}

function sizeOfSample(shape: Shape): number {
  return shape.slice(1).reduce((size, dim) => size * dim, 1);
}

function flattener(module: object | undefined): string {
  if (module) return pathOf(module);
  const caller = running.at(-2); // the innermost one is the layer that complains
  return caller ? `a view in ${pathOf(caller)}` : 'a view';
}

function outputOf(producer: object | undefined): string {
  return producer ? `, the output of ${pathOf(producer)}` : '';
}
