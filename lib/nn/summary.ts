import { ConvgradError } from '../errors';
import { sizeOf, type Shape, type Tensor } from '../tensor';
import { many, mapMany, shapeText, type OneOrMany } from './symbolic';
import { snakeCase } from './naming';
import type { Module } from './module';

export interface SummaryOptions {
  /** The shape of an input without the batch axis, or one for each input. Models that know theirs need none. */
  inputShape?: OneOrMany<Shape>;
  /** Characters in a line. Default: Keras's 88 (108 where layers branch), or what the terminal has. */
  width?: number;
}

/** A line of the table: a layer, or an input of the model (`module` is null). */
export interface SummaryEntry {
  name: string;
  module: Module | null;
  /** Known for inputs. */
  shape?: OneOrMany<Shape>;
  /** The layers that this one takes its inputs from. */
  from?: string[];
}

/** The table of Keras 3: layers, their output shapes and parameters, and the totals. */
export function summarize(model: Module, { inputShape, width }: SummaryOptions): string {
  const entries = model.summaryEntries();
  const shapes = outputShapes(model, inputShape === undefined ? model.inputShapes : listOfShapes(inputShape));
  const branches = entries.some(({ from }) => (from?.length ?? 0) > 1);
  const rows = entries.map(({ name, module, shape, from = [] }) => [
    module ? `${name} (${module.type})` : `${name} (InputLayer)`,
    (shape ?? (module && shapes.get(module))) ? shapesText((shape ?? shapes.get(module!))!) : '?',
    module && !module.built ? '0 (unbuilt)' : thousands(module ? countElements(module.stateDict().values()) : 0),
    from.join(', ') || '-',
  ]);
  const header = ['Layer (type)', 'Output Shape', 'Param #', 'Connected to'];
  const columns = branches ? 4 : 3;
  const lineLength = width ?? Math.min(branches ? 108 : 88, (process.stdout.columns ?? Infinity) - 4);
  const lines = table(
    [header, ...rows].map((row) => row.slice(0, columns)),
    columnWidths(branches ? [0.3, 0.56, 0.74, 1] : [0.45, 0.8, 1], lineLength),
  );
  return [`Model: "${model.name ?? snakeCase(model.constructor.name)}"`, ...lines, ...totals(model)].join('\n');
}

/** What each layer directly in the model returns, found by watching a run. A layer that is not called has no entry. */
function outputShapes(model: Module, inputShapes: OneOrMany<Shape>[] | null): Map<Module, OneOrMany<Shape>> {
  const shapes = new Map<Module, OneOrMany<Shape>>();
  if (!inputShapes) return shapes;
  const watched = model.summaryEntries().flatMap(({ module }) => module ?? []);
  const unwatch = watched.map((module) =>
    module.registerForwardHook((_, __, output) =>
      shapes.set(
        module,
        mapMany(output as OneOrMany<Tensor>, (tensor) => tensor.shape.slice(1)),
      ),
    ),
  );
  try {
    model.outputShape(...inputShapes);
  } finally {
    for (const stop of unwatch) stop();
  }
  return shapes;
}

function listOfShapes(shapes: OneOrMany<Shape>): Shape[] {
  return (Array.isArray(shapes[0]) ? [...shapes] : [shapes]) as Shape[];
}

function shapesText(shapes: OneOrMany<Shape>): string {
  if (!Array.isArray(shapes[0])) return shapeText(shapes as Shape);
  return `[${many(shapes as readonly Shape[])
    .map(shapeText)
    .join(', ')}]`;
}

function totals(model: Module): string[] {
  if (!model.built)
    return [' Total params: 0 (0.00 B)', ' Trainable params: 0 (0.00 B)', ' Non-trainable params: 0 (0.00 B)'];
  const all = countElements(model.stateDict().values());
  const trainable = countElements(model.trainableParameters());
  const line = (what: string, count: number): string => ` ${what} params: ${thousands(count)} (${bytes(4 * count)})`;
  return [line('Total', all), line('Trainable', trainable), line('Non-trainable', all - trainable)];
}

function countElements(tensors: Iterable<{ shape: Shape }>): number {
  let count = 0;
  for (const { shape } of tensors) count += sizeOf(shape);
  return count;
}

const thousands = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ',');

/** 654.54 KB, in units of 1024. */
function bytes(count: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let unit = 0;
  for (; count >= 1024 && unit < units.length - 1; unit++) count /= 1024;
  return `${count.toFixed(2)} ${units[unit]}`;
}

/**
 * The widths of cells without their padding. Keras asks for columns that end at the given fractions of the line, and
 * leaves it to its table printer to find room for padding and borders; this is what comes of it.
 */
function columnWidths(ends: readonly number[], lineLength: number): number[] {
  const stops = ends.map((end) => Math.floor(end * lineLength + 1e-9));
  const wanted = stops.map((stop, i) => stop - (stops[i - 1] ?? 0));
  let excess = 3 * wanted.length + 1;
  const widths = wanted.map((width, i) => {
    const share = roundHalfToEven(excess / (wanted.length - i));
    excess -= share;
    return width - share;
  });
  if (Math.min(...widths) < 4) {
    throw new ConvgradError(
      'ERR_VALUE',
      `summary: width must leave room for ${widths.length} columns, got ${lineLength}`,
    );
  }
  return widths;
}

function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

function table([header, ...rows]: string[][], widths: number[]): string[] {
  const rule = (left: string, line: string, cross: string, right: string): string =>
    left + widths.map((width) => line.repeat(width + 2)).join(cross) + right;
  const row = (cells: string[], bar: string): string[] => {
    const wrapped = cells.map((cell, i) => wrap(cell, widths[i]!));
    const height = Math.max(...wrapped.map((lines) => lines.length));
    return Array.from({ length: height }, (_, line) => {
      const padded = wrapped.map((lines, i) =>
        i === 2 ? (lines[line] ?? '').padStart(widths[i]!) : (lines[line] ?? '').padEnd(widths[i]!),
      );
      return `${bar} ${padded.join(` ${bar} `)} ${bar}`;
    });
  };
  const between = rule('├', '─', '┼', '┤');
  return [
    rule('┏', '━', '┳', '┓'),
    ...row(header!, '┃'),
    rule('┡', '━', '╇', '┩'),
    ...rows.flatMap((cells, i) => (i === 0 ? row(cells, '│') : [between, ...row(cells, '│')])),
    rule('└', '─', '┴', '┘'),
  ];
}

/** Breaks a text at spaces, and words that are too long anywhere. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line && line.length + 1 + word.length <= width) {
      line += ` ${word}`;
      continue;
    }
    if (line) lines.push(line);
    for (line = word; line.length > width; line = line.slice(width)) lines.push(line.slice(0, width));
  }
  return [...lines, line];
}
