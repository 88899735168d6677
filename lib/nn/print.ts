import type { Module } from './module';

/** PyTorch's printed tree: a line for a leaf, an indented block for what has children. */
export function printTree(module: Module): string {
  const name = module.constructor.name;
  const all = Array.from(module.namedChildren(), ([key, child]): Line => [key, printTree(child)]);
  const children = name === 'ModuleList' ? collapse(all) : all;
  const arguments_ = module.extraRepr();
  if (children.length === 0) return `${name}(${arguments_})`;
  const lines = children.map(([key, text]) => `(${key}): ${text}`);
  if (arguments_) lines.unshift(arguments_);
  return `${name}(\n${indent(lines.join('\n'))}\n)`;
}

type Line = [name: string, text: string];

/** Neighbours of a list that print alike become one: `(0-2): 3 x Linear(…)`. */
function collapse(children: Line[]): Line[] {
  const groups: { first: string; last: string; count: number; text: string }[] = [];
  for (const [name, text] of children) {
    const group = groups.at(-1);
    if (group && group.text === text && Number(name) === Number(group.last) + 1) {
      group.last = name;
      group.count += 1;
    } else {
      groups.push({ first: name, last: name, count: 1, text });
    }
  }
  return groups.map(({ first, last, count, text }) =>
    count === 1 ? [first, text] : [`${first}-${last}`, `${count} x ${text}`],
  );
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n');
}

/** `(3, 3)`, as Python writes a tuple. */
export function tuple(values: readonly (number | string)[]): string {
  return values.length === 1 ? `(${values[0]},)` : `(${values.join(', ')})`;
}

/** A float as Python writes it: 1.0, 0.1, 1e-05. */
export function float(given: number): string {
  const value = Number(given.toPrecision(12)); // without the noise of 1 - 0.99
  if (Number.isInteger(value) && Math.abs(value) < 1e16) return value.toFixed(1);
  const [mantissa, exponent] = value.toExponential().split('e') as [string, string];
  const power = Number(exponent);
  if (power >= -4 && power < 16) return String(value);
  return `${mantissa}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
}

/** True or False. */
export function bool(value: boolean): string {
  return value ? 'True' : 'False';
}
