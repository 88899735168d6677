import { ConvgradError } from '../errors';
import type { DType } from '../native';
import { sameShape, type Tensor } from '../tensor';
import type { Module } from './module';

/** A module's tensors by path. */
export type StateDict = Map<string, Tensor<DType>>;

/** What `loadStateDict` found to be different; empty lists when it is strict. */
export interface LoadReport {
  missing: string[];
  unexpected: string[];
}

const SHOWN = 20; // names in a message

export function loadState(
  module: Module,
  state: ReadonlyMap<string, Tensor<DType>> | Readonly<Record<string, Tensor<DType>>>,
  strict: boolean,
): LoadReport {
  const given = state instanceof Map ? state : new Map(Object.entries(state));
  const own = module.stateDict();
  const missing = [...own.keys()].filter((name) => !given.has(name));
  const unexpected = [...given.keys()].filter((name) => !own.has(name));
  const unfit: string[] = [];
  for (const [name, tensor] of own) {
    const source = given.get(name);
    if (!source || (sameShape(source.shape, tensor.shape) && source.dtype === tensor.dtype)) continue;
    unfit.push(`${name} is ${describe(source)}, wanted ${describe(tensor)}`);
  }
  const complaints = [
    ...(strict ? [...list('missing', missing), ...list('unexpected', unexpected)] : []),
    ...list('of another shape or dtype', unfit),
  ];
  if (complaints.length > 0) {
    throw new ConvgradError('ERR_VALUE', `loadStateDict: ${module.type} does not fit: ${complaints.join('; ')}`);
  }
  for (const [name, tensor] of own) {
    const source = given.get(name);
    if (source) tensor.assign(source);
  }
  return { missing, unexpected };
}

function describe(tensor: Tensor<DType>): string {
  return `${tensor.dtype} [${tensor.shape.join(', ')}]`;
}

function list(what: string, names: string[]): string[] {
  if (names.length === 0) return [];
  const more = names.length > SHOWN ? `, and ${names.length - SHOWN} more` : '';
  return [`${what}: ${names.slice(0, SHOWN).join(', ')}${more}`];
}
