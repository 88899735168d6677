import { ConvgradError } from './errors';
import { native, type DType, type MemoryInfo } from './native';
import type { Tensor } from './tensor';

const scopes: Set<Tensor<DType>>[] = [];
let liveTensors = 0;

/** @internal Called by every new tensor. */
export function track(tensor: Tensor<DType>): void {
  liveTensors += 1;
  scopes.at(-1)?.add(tensor);
}

/** @internal Called when a tensor's memory has gone back. */
export function untrack(tensor: Tensor<DType>): void {
  liveTensors -= 1;
  for (const scope of scopes) scope.delete(tensor);
}

/** @internal Called when a tensor was collected without being disposed. */
export function countCollected(): void {
  liveTensors -= 1;
}

/**
 * Exempts a tensor from every enclosing `tidy`: it lives until it is disposed or collected.
 * @returns the tensor
 */
export function keep<T extends Tensor<DType>>(tensor: T): T {
  for (const scope of scopes) scope.delete(tensor);
  return tensor;
}

/** @internal Puts a tensor under the innermost `tidy`, as if it had just been created. */
export function adopt<T extends Tensor<DType>>(tensor: T): T {
  scopes.at(-1)?.add(tensor);
  return tensor;
}

/** @internal Disposes a tensor now, if the innermost `tidy` would do so at its end. */
export function release(tensor: Tensor<DType>): void {
  if (scopes.at(-1)?.has(tensor)) tensor.dispose();
}

/**
 * Runs `body` and disposes every tensor that it created, except those it returns (also inside arrays and plain objects)
 * and those passed to `keep`. `body` must be synchronous.
 * @throws ERR_VALUE when `body` returns a promise
 */
export function tidy<R>(body: () => R): R {
  const scope = new Set<Tensor<DType>>();
  scopes.push(scope);
  let result: R | undefined;
  let survivors: Set<unknown> = new Set();
  try {
    result = body();
    if (result instanceof Promise) {
      // Its own rejection is not what this call reports.
      result.catch(() => undefined);
      throw new ConvgradError('ERR_VALUE', 'tidy: the function must be synchronous, it returned a promise');
    }
    survivors = tensorsIn(result);
    return result;
  } finally {
    scopes.pop();
    const outer = scopes.at(-1);
    for (const tensor of scope) {
      if (!survivors.has(tensor)) tensor.dispose();
      else outer?.add(tensor);
    }
  }
}

/** @internal A copy of arrays and plain objects in which `replace` is applied to every other object. */
export function mapTensors(value: unknown, replace: (value: object) => unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => mapTensors(item, replace));
  if (value instanceof Map) return new Map(Array.from(value, ([key, item]) => [key, mapTensors(item, replace)]));
  if (Object.getPrototypeOf(value) !== Object.prototype) return replace(value);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapTensors(item, replace)]));
}

/** The objects reachable through arrays and plain objects, tensors among them. */
function tensorsIn(value: unknown, found: Set<unknown> = new Set()): Set<unknown> {
  if (typeof value !== 'object' || value === null || found.has(value)) return found;
  found.add(value);
  if (Array.isArray(value)) {
    for (const item of value) tensorsIn(item, found);
  } else if (value instanceof Map) {
    for (const item of value.values()) tensorsIn(item, found);
  } else if (Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) tensorsIn(item, found);
  }
  return found;
}

/** Tensors alive in JavaScript, and the native memory behind them. */
export function memory(): MemoryInfo & { tensors: number } {
  return { tensors: liveTensors, ...native.memory() };
}
