import { ConvgradError } from '../errors';
import { storedTypes } from './safetensorsTypes';

/** One tensor of a safetensors file, as the header describes it. */
export interface SafetensorsEntry {
  /** The name of the element type in the file, such as `F16`. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Where its bytes lie in the file: [begin, end). */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** By name, in the order in which the tensors lie in the file. */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The reference implementation's limit, so that a hostile length cannot make us read or parse without end. */
export const maxHeaderBytes = 100_000_000;
/** The eight bytes before the header, its length. */
export const prefixBytes = 8;
/** What the format needs: the file, its tensors, their shapes. */
const maxDepth = 3;

/** ERR_FORMAT with the name of the file, and of the tensor where there is one. */
export function formatError(file: string, message: string, tensor?: string): ConvgradError {
  return new ConvgradError(
    'ERR_FORMAT',
    `${file}: ${tensor === undefined ? '' : `tensor ${quoted(tensor)}: `}${message}`,
  );
}

/** The length of the header, from the first eight bytes. */
export function headerLength(prefix: Uint8Array, fileBytes: number, file: string): number {
  if (prefix.length < prefixBytes) {
    throw formatError(file, `not a safetensors file: it has ${fileBytes} bytes, the header's length alone takes 8`);
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > maxHeaderBytes) {
    throw formatError(
      file,
      `not a safetensors file: a header of ${length} bytes, at most ${maxHeaderBytes} are allowed`,
    );
  }
  if (length > fileBytes - prefixBytes) {
    throw formatError(file, `truncated: the header should have ${length} bytes, the file has ${fileBytes} in all`);
  }
  return Number(length);
}

/**
 * Reads the header and holds all of it against the size of the file, so that what follows can trust every offset.
 * @param fileBytes the size of the whole file
 * @throws ERR_FORMAT naming the file and the tensor: broken JSON, duplicate keys, unknown dtypes, a shape that does not
 *   match its bytes, and tensors that overlap, leave holes or reach beyond the end
 */
export function parseHeader(bytes: Uint8Array, fileBytes: number, file: string): SafetensorsHeader {
  const { __metadata__: metadata = {}, ...tensors } = parseJson(bytes, file);
  const bodyBegin = prefixBytes + bytes.length;
  const entries = Object.entries(tensors)
    .map(([name, value]) => [name, parseEntry(name, value, bodyBegin, file)] as const)
    .sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  checkTiling(entries, bodyBegin, fileBytes, file);
  return { entries: new Map(entries), metadata: parseMetadata(metadata, file) };
}

function parseJson(bytes: Uint8Array, file: string): Record<string, unknown> {
  if (bytes[0] !== 0x7b) throw formatError(file, 'not a safetensors file: the header does not begin with {');
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    checkKeys(text);
    return JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw formatError(file, `the header is not valid: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/**
 * What JSON.parse lets pass: of two equal keys it keeps the last, and it follows nesting as deep as memory allows. Text
 * that is no JSON is left for it to refuse.
 */
function checkKeys(json: string): void {
  const keysByDepth: Set<string>[] = [];
  let lastString = '';
  for (let i = 0; i < json.length; ++i) {
    switch (json[i]) {
      case '{':
      case '[':
        if (keysByDepth.push(new Set()) > maxDepth) throw new Error(`nested deeper than ${maxDepth} levels`);
        break;
      case '}':
      case ']':
        keysByDepth.pop();
        break;
      case '"': {
        const begin = i++;
        while (i < json.length && json[i] !== '"') i += json[i] === '\\' ? 2 : 1;
        lastString = json.slice(begin, i + 1);
        break;
      }
      case ':': {
        const key = JSON.parse(lastString) as string;
        const keys = keysByDepth.at(-1);
        if (keys?.has(key)) throw new Error(`the key ${quoted(key)} appears twice`);
        keys?.add(key);
        break;
      }
    }
  }
}

function parseEntry(name: string, value: unknown, bodyBegin: number, file: string): SafetensorsEntry {
  if (!isObject(value)) throw formatError(file, 'its header entry is not an object', name);
  const { dtype, shape, data_offsets: offsets } = value;
  const stored = typeof dtype === 'string' ? storedTypes.get(dtype) : undefined;
  if (stored === undefined) {
    const known = [...storedTypes.keys()].join(', ');
    throw formatError(file, `dtype ${quoted(dtype)} is not supported, only ${known} are`, name);
  }
  if (!isListOfCounts(shape)) {
    throw formatError(file, `shape ${quoted(shape)} is not a list of non-negative integers`, name);
  }
  if (!isListOfCounts(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw formatError(file, `data_offsets ${quoted(offsets)} is not [begin, end]`, name);
  }
  const [begin, end] = offsets as [number, number];
  const elements = shape.reduce((product, dim) => product * dim, 1);
  if (!(elements * stored.bytes === end - begin)) {
    const wanted = `shape [${shape.join(', ')}] of ${dtype as string} wants ${elements * stored.bytes} bytes`;
    throw formatError(file, `${wanted}, data_offsets hold ${end - begin}`, name);
  }
  return { dtype: dtype as string, shape, begin: bodyBegin + begin, end: bodyBegin + end };
}

/** The tensors, sorted, must fill the file from the header's end to its own: no hole, no overlap. */
function checkTiling(
  entries: readonly (readonly [string, SafetensorsEntry])[],
  bodyBegin: number,
  fileBytes: number,
  file: string,
): void {
  let position = bodyBegin;
  for (const [name, { begin, end }] of entries) {
    if (end > fileBytes) throw formatError(file, `truncated: its bytes end at ${end}, the file at ${fileBytes}`, name);
    if (begin < position) throw formatError(file, 'its bytes overlap those of the tensor before', name);
    if (begin > position) throw formatError(file, `a hole of ${begin - position} bytes before it`, name);
    position = end;
  }
  if (position !== fileBytes) throw formatError(file, `${fileBytes - position} bytes after the last tensor`);
}

function parseMetadata(value: unknown, file: string): Record<string, string> {
  if (!isObject(value)) throw formatError(file, '__metadata__ is not an object');
  for (const [key, item] of Object.entries(value)) {
    if (typeof item !== 'string') throw formatError(file, `__metadata__ ${quoted(key)} is not a string`);
  }
  return value as Record<string, string>;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isListOfCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

/** A value of the file for a message: control characters escaped, long ones cut. */
function quoted(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
