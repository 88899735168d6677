import { ConvgradError } from './errors';

/**
 * Looks a name up that a user wrote, in camelCase, snake_case or any other case: 'sparse_categorical_crossentropy' and
 * 'sparseCategoricalCrossentropy' are one name.
 * @param table what there is, by its name in camelCase
 * @param what what is being named, for the message: "compile: loss"
 * @throws ERR_VALUE with the nearest name and the list of all
 */
export function lookUp<T>(table: Readonly<Record<string, T>>, name: string, what: string): T {
  const wanted = simplified(name);
  for (const [known, value] of Object.entries(table)) if (simplified(known) === wanted) return value;
  throw unknownName(name, Object.keys(table), what);
}

/** The error for a name that is not among the known ones. */
export function unknownName(name: string, known: readonly string[], what: string): ConvgradError {
  const guess = nearest(name, known);
  const suggestion = guess === undefined ? '.' : `; did you mean '${guess}'?`;
  return new ConvgradError('ERR_VALUE', `${what} '${name}' is unknown${suggestion} Known: ${known.join(', ')}`);
}

/** Throws ERR_VALUE, with the nearest name, for an option that does not exist. Those that are undefined are not given. */
export function checkOptions(options: object, known: readonly string[], what: string): void {
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined && !known.includes(name)) throw unknownName(name, known, `${what}: option`);
  }
}

/** The known name with the fewest edits from this one; undefined when none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = simplified(name);
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(wanted, simplified(candidate));
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

function simplified(name: string): string {
  return name.replace(/[^\p{L}\p{N}]/gu, '').toLowerCase();
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = rows[i - 1]![j - 1]! + Number(a[i - 1] !== b[j - 1]);
      const best = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, replaced);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row.push(isSwap ? Math.min(best, rows[i - 2]![j - 2]! + 1) : best);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
