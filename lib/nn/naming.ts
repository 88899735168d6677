import { ConvgradError } from '../errors';

/** `MaxPooling2D` → `max_pooling2d`: a layer's default name, as Keras makes it. */
export function snakeCase(name: string): string {
  return name
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase();
}

/**
 * A name for each layer of a model: the one it was given, else its type, numbered: `dense`, `dense_1`…
 * @throws ERR_VALUE when two layers were given the same name
 */
export function uniqueNames(layers: readonly { name?: string | undefined; type: string }[]): string[] {
  const taken = new Set<string>();
  for (const { name } of layers) {
    if (name === undefined) continue;
    if (taken.has(name)) throw new ConvgradError('ERR_VALUE', `two layers of one model are named '${name}'`);
    taken.add(name);
  }
  return layers.map(({ name, type }) => {
    if (name !== undefined) return name;
    const base = snakeCase(type);
    let unique = base;
    for (let count = 1; taken.has(unique); count++) unique = `${base}_${count}`;
    taken.add(unique);
    return unique;
  });
}
