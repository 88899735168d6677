import { Tensor, type DType, type TypedArray } from '../tensor';

/** A dense, row-major array in JavaScript's memory: what samples are made of before they become a batch of tensors. */
export interface NdArray<A extends TypedArray = TypedArray> {
  readonly data: A;
  readonly shape: readonly number[];
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

export function isNdArray(value: unknown): value is NdArray {
  return isPlainObject(value) && ArrayBuffer.isView(value['data']) && Array.isArray(value['shape']);
}

/** The tensors in arrays and plain objects, however deep. */
export function tensorsIn(value: unknown, found: Tensor<DType>[] = []): Tensor<DType>[] {
  if (value instanceof Tensor) found.push(value as Tensor<DType>);
  else if (Array.isArray(value)) for (const item of value) tensorsIn(item, found);
  else if (isPlainObject(value)) for (const item of Object.values(value)) tensorsIn(item, found);
  return found;
}

/** Disposes the tensors in `value`, except those that are also in `survivors`. */
export function disposeTensors(value: unknown, survivors?: unknown): void {
  const tensors = tensorsIn(value);
  if (tensors.length === 0) return;
  const kept = new Set(tensorsIn(survivors));
  for (const tensor of tensors) if (!kept.has(tensor)) tensor.dispose();
}

/** The same value with tensors of its own, which share the memory; `value` itself when it holds none. */
export function cloneTensors<T>(value: T): T {
  if (tensorsIn(value).length === 0) return value;
  const clone = (item: unknown): unknown => {
    if (item instanceof Tensor) return item.detach();
    if (Array.isArray(item)) return item.map(clone);
    if (!isPlainObject(item)) return item;
    return Object.fromEntries(Object.entries(item).map(([key, member]) => [key, clone(member)]));
  };
  return clone(value) as T;
}
