import { ConvgradError } from '../errors';
import type { Module } from '../nn';
import { sameShape, type Shape } from '../tensor';
import type { OutputShape } from './batches';

const known = new WeakMap<Module, Map<string, Shape>>();

/**
 * The shape of a model's output, of the first one if there are several. It is found by running the model once on zeros, so
 * that an input that does not fit is an error before anything is done: ERR_SHAPE naming the argument and the layer.
 */
export function outputShapeOf(model: Module): OutputShape {
  const shapes = known.get(model) ?? new Map<string, Shape>();
  known.set(model, shapes);
  return (inputShapes, what) => {
    // A model that gets another layer is another model.
    const key = `${model.modules().length}: ${inputShapes.map((shape) => shape.join('x')).join()}`;
    let output = shapes.get(key);
    if (!output) {
      checkInputShapes(model.inputShapes, inputShapes, what);
      const found = shapesFor(model, inputShapes, what);
      output = (Array.isArray(found[0]) ? found[0] : found) as Shape;
      shapes.set(key, output);
    }
    return output;
  };
}

function checkInputShapes(wanted: readonly Shape[] | null, given: readonly Shape[], what: string): void {
  if (!wanted) return;
  if (wanted.length !== given.length) {
    throw new ConvgradError('ERR_SHAPE', `${what}: the model has ${wanted.length} inputs, got ${given.length}`);
  }
  for (const [i, shape] of given.entries()) {
    if (sameShape(shape, wanted[i]!)) continue;
    const name = given.length > 1 ? `${what}[${i}]` : what;
    const hint = shape.length === wanted[i]!.length - 1 ? '; a single sample needs a batch axis in front' : '';
    throw new ConvgradError(
      'ERR_SHAPE',
      `${name} has shape [batch, ${shape.join(', ')}], the model wants [batch, ${wanted[i]!.join(', ')}]${hint}`,
    );
  }
}

function shapesFor(model: Module, inputShapes: readonly Shape[], what: string): Shape | readonly Shape[] {
  try {
    return model.outputShape(...inputShapes) as Shape | readonly Shape[];
  } catch (error) {
    if (!(error instanceof ConvgradError)) throw error;
    const shapes = inputShapes.map((shape) => `[batch, ${shape.join(', ')}]`).join(' and ');
    throw new ConvgradError(error.code, `${what} has shape ${shapes}: ${error.message}`, { cause: error });
  }
}
