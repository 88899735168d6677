import { expect } from 'vitest';
import { tensor, type Tensor } from '../../lib';
import { typedData, type Case, type Golden } from '../fixtures/load';
import { expectClose, type Tolerance } from './compare';

/** A golden value as a tensor; float32 ones require a gradient. */
export function goldenTensor(golden: Golden): Tensor {
  const result = tensor(typedData(golden) as Float32Array, golden.shape);
  if (golden.dtype === 'float32') result.requiresGrad = true;
  return result;
}

/**
 * Runs one case: the op on its inputs, against its only output, and the gradients of its inputs.
 * @param inputs the case's inputs by name; those that have golden gradients require them
 */
export function expectGolden(
  golden: Case<never>,
  op: (inputs: Record<string, Tensor>) => Tensor,
  tolerance: Tolerance = { relative: 1e-5, absolute: 1e-6 },
): void {
  const inputs = Object.fromEntries(
    Object.entries(golden.inputs).map(([name, value]) => {
      const input = goldenTensor(value);
      if (!golden.grads[name] && input.dtype === 'float32') input.requiresGrad = false;
      return [name, input];
    }),
  );
  const y = op(inputs);
  const { output } = golden.outputs;
  expect(y.shape, golden.name).toEqual(output!.shape);
  expectClose(y, output!.data, tolerance, golden.name);
  const upstream = golden.upstream['output']!;
  y.backward({ gradient: tensor(Float32Array.from(upstream.data), upstream.shape) });
  for (const [name, grad] of Object.entries(golden.grads)) {
    expect(inputs[name]!.grad!.shape, golden.name).toEqual(grad.shape);
    expectClose(inputs[name]!.grad!, grad.data, tolerance, `${golden.name}: gradient of ${name}`);
  }
}
