import { ConvgradError } from '../errors';
import type { Shape } from '../tensor';
import { Module } from './module';

/** A module as JSON: enough to make it again, without its weights. */
export interface ModuleConfig {
  class: string;
  /** Keras's name of the class, for layers made by it. */
  kerasType?: string;
  name?: string;
  inputShapes?: Shape[];
  config: Record<string, unknown>;
  /** Paths of the modules inside with `trainable = false`; of the outermost module only. */
  frozen?: string[];
}

type Create = (config: Record<string, never>) => Module;

const registered = new Map<string, { constructor: unknown; create: Create }>();

/**
 * Makes a class of modules known, so that a model that contains one can be rebuilt from its JSON.
 *
 *     nn.registerModule('Block', Block, ({ channels }) => new Block(channels)); // and Block.config() returns { channels }
 *
 * @param create makes one from what its `config()` returned. Default: `new constructor(config)`
 */
export function registerModule<M extends Module>(
  name: string,
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  constructor: new (...args: any[]) => M,
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  create: (config: any) => M = (config) => new constructor(config),
): void {
  const known = registered.get(name);
  if (known && known.constructor !== constructor) {
    throw new ConvgradError('ERR_VALUE', `registerModule: another class is already registered as '${name}'`);
  }
  registered.set(name, { constructor, create });
}

/**
 * The module as JSON, without weights.
 * @throws ERR_STATE naming what cannot be written: a class that is not registered, or an option that is a function
 */
export function toConfig(module: Module): ModuleConfig {
  const frozen = Array.from(module.namedModules()).flatMap(([path, inner]) => (inner.trainable ? [] : [path]));
  return { ...encodeModule(module, ''), ...(frozen.length > 0 && { frozen }) };
}

/**
 * A module from its JSON. Its weights are new: load them after.
 * @throws ERR_FORMAT when the JSON is not that of a module, or a class is not registered
 */
export function fromConfig(config: ModuleConfig): Module {
  const module = decode(config);
  if (!(module instanceof Module)) {
    throw new ConvgradError('ERR_FORMAT', 'fromConfig: this is not the configuration of a module');
  }
  const modules = new Map(module.namedModules());
  for (const path of config.frozen ?? []) {
    const inner = modules.get(path);
    if (!inner) throw new ConvgradError('ERR_FORMAT', `fromConfig: ${path}, which is to be frozen, does not exist`);
    inner.trainable = false;
  }
  return module;
}

function encodeModule(module: Module, path: string): ModuleConfig {
  for (const [name, { constructor }] of registered) {
    if (constructor !== module.constructor) continue;
    const { kerasType, name: given, inputShapes } = module;
    return {
      class: name,
      ...(kerasType !== undefined && { kerasType }),
      ...(given !== undefined && { name: given }),
      ...(inputShapes && { inputShapes }),
      config: encode(module.config(), path) as Record<string, unknown>,
    };
  }
  throw new ConvgradError(
    'ERR_STATE',
    `${path || 'the model'} (${module.constructor.name}) cannot be written as JSON: its class is not known, see nn.registerModule`,
  );
}

function encode(value: unknown, path: string): unknown {
  if (value instanceof Module) return encodeModule(value, path);
  if (Array.isArray(value)) return value.map((item, i) => encode(item, `${path}[${i}]`));
  if (typeof value === 'function') {
    throw new ConvgradError('ERR_STATE', `${path} is a function, which cannot be written as JSON: use a name instead`);
  }
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(entries.map(([key, item]) => [key, encode(item, path === '' ? key : `${path}.${key}`)]));
}

function decode(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(decode);
  if (typeof value !== 'object' || value === null) return value;
  const { class: name, config, ...rest } = value as Partial<ModuleConfig>;
  const decoded = Object.fromEntries(Object.entries(config ?? value).map(([key, item]) => [key, decode(item)]));
  if (typeof name !== 'string' || config === undefined) return decoded;
  const known = registered.get(name);
  if (!known) {
    throw new ConvgradError('ERR_FORMAT', `fromConfig: no class is registered as '${name}', see nn.registerModule`);
  }
  const module = known.create(decoded as Record<string, never>);
  module.name = rest.name;
  module.kerasType = rest.kerasType;
  if (rest.inputShapes) module.inputShapes = rest.inputShapes;
  return module;
}
