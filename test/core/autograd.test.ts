import { describe, expect, it } from 'vitest';
import { exp, grad, memory, neg, noGrad, relu, square, tensor, tidy, valueAndGrad, zeros } from '../../lib';
import { errorOf, expectClose } from '../support/compare';

function leaf(values: number[]) {
  const t = tensor(values);
  t.requiresGrad = true;
  return t;
}

describe('backward', () => {
  it('applies the chain rule', () => {
    const x = leaf([0.5, -1]);
    exp(square(x)).backward({ gradient: tensor([1, 10]) });
    expectClose(x.grad!, [2 * 0.5 * Math.exp(0.25), 10 * 2 * -1 * Math.exp(1)]);
  });

  it('adds up over passes, and over several uses of a tensor', () => {
    const x = leaf([3]);
    square(x).backward();
    square(x).backward();
    expectClose(x.grad!, [12]);
    expectClose(grad((z) => square(square(z)))(tensor([2]))[0], [32]);
  });

  it('stops at detach and in noGrad', () => {
    const x = leaf([3]);
    expect(square(x).detach().requiresGrad).toBe(false);
    expect(noGrad(() => square(x)).requiresGrad).toBe(false);
  });

  it('frees the graph, unless told to retain it', () => {
    const x = leaf([3]);
    const y = square(x);
    y.backward({ retainGraph: true });
    y.backward();
    expectClose(x.grad!, [12]);
    expect(errorOf(() => y.backward())).toMatchObject({ code: 'ERR_STATE', message: /graph of square was freed/ });
  });

  it('does not need the tensors between to be alive', () => {
    const x = leaf([0.5]);
    const y = tidy(() => exp(square(square(x))));
    y.backward();
    expectClose(x.grad!, [4 * 0.5 ** 3 * Math.exp(0.5 ** 4)]);
  });

  it('notices a saved tensor that was changed in place', () => {
    const x = leaf([3]);
    const y = square(x);
    x.assign(tensor([4]));
    expect(errorOf(() => y.backward())).toMatchObject({
      code: 'ERR_STATE',
      message: /input of square, .* changed in place/,
    });
  });

  it('explains what cannot be differentiated', () => {
    expect(errorOf(() => tensor([1]).backward())).toMatchObject({ code: 'ERR_STATE' });
    expect(errorOf(() => square(leaf([1, 2])).backward())).toMatchObject({ code: 'ERR_SHAPE' });
    expect(errorOf(() => square(leaf([1, 2])).backward({ gradient: zeros([3]) }))).toMatchObject({ code: 'ERR_SHAPE' });
    const bytes = zeros([2], 'uint8') as never;
    expect(errorOf(() => square(leaf([1, 2])).backward({ gradient: bytes }))).toMatchObject({ code: 'ERR_DTYPE' });
    const integers = tensor([1], [1], 'int32');
    expect(errorOf(() => (integers.requiresGrad = true))).toMatchObject({ code: 'ERR_DTYPE' });
  });

  it('gives every byte back: with backward, without, and when a result is never used', () => {
    const x = leaf([1, 2, 3]);
    const before = memory();
    tidy(() => {
      relu(exp(square(x))).backward({ gradient: tensor([1, 1, 1]) });
    });
    x.grad!.dispose();
    x.grad = null;
    tidy(() => relu(exp(square(x))).shape);
    expect(memory()).toMatchObject({ tensors: before.tensors, blocks: before.blocks });
  });

  it('does not need the tensors between: an op of ops may dispose its own', () => {
    const x = leaf([0.5]);
    const before = memory();
    const y = tidy(() => exp(square(neg(x))));
    y.backward({ retainGraph: true });
    y.backward();
    y.dispose();
    expectClose(x.grad!, [2 * 2 * 0.5 * Math.exp(0.25)]);
    x.grad!.dispose();
    expect(memory()).toMatchObject({ tensors: before.tensors, blocks: before.blocks });
  });

  it('walks a deep graph without recursion', () => {
    const x = leaf([1]);
    tidy(() => {
      let y = neg(x);
      for (let i = 1; i < 20_000; i++) y = neg(y);
      y.backward();
    });
    expectClose(x.grad!, [1]);
  });
});

describe('valueAndGrad', () => {
  it('leaves its arguments alone and returns value and gradients', () => {
    const x = tensor([3]);
    const { value, grads } = valueAndGrad((z: typeof x) => square(z))(x);
    expect(value.item()).toBe(9);
    expectClose(grads[0], [6]);
    expect(x).toMatchObject({ requiresGrad: false, grad: null });
  });
});
