import { describe, expect, it } from 'vitest';
import {
  add,
  batchNorm,
  conv2d,
  convTranspose2d,
  keep,
  matmul,
  memory,
  mul,
  noGrad,
  relu,
  relu6,
  reshape,
  sigmoid,
  silu,
  sum,
  synchronize,
  tanh,
  tidy,
  zeros,
  type Tensor,
} from '../../lib';
import { commandsOf } from '../support/commands';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { TestData } from '../support/random';

const data = new TestData();

const image = (): Tensor => data.tensor([2, 5, 6, 4]);
const weight = (): Tensor => data.tensor([3, 3, 4, 4]);
const same = { padding: 1 };

/** A tensor whose values are there. */
function computed(x: Tensor): Tensor {
  x.dataSync();
  return x;
}

const norm = (x: Tensor, mean: Tensor, variance: Tensor): Tensor =>
  batchNorm(x, { training: false, runningMean: mean, runningVar: variance });

describe('a convolution that waits', () => {
  it('runs with the ops after it as one command', () => {
    const [x, w, b, identity, mean, variance] = [
      image(),
      weight(),
      data.tensor([4]),
      image(),
      data.tensor([4]),
      data.tensor([4], 1, 2),
    ];
    const expected = relu(add(computed(norm(computed(conv2d(x, w, b, same)), mean, variance)), identity));
    const actual = (): Tensor => relu(add(norm(conv2d(x, w, b, same), mean, variance), identity));
    expectClose(actual(), expected.dataSync(), {}, `seed ${data.seed}`);
    expect(commandsOf(() => actual().dataSync())).toBe(2);
    const reversed = (): Tensor => relu(add(identity, norm(conv2d(x, w, b, same), mean, variance)));
    expectExact(reversed(), actual().dataSync());
    expect(commandsOf(() => reversed().dataSync())).toBe(2);
  });

  it('takes the ops after it in its own order only, and each once', () => {
    const [x, w, other, mean, variance] = [image(), weight(), image(), data.tensor([4]), data.tensor([4], 1, 2)];
    const y = computed(conv2d(x, w, null, same));
    const chains: ((y: Tensor) => Tensor)[] = [
      (y) => norm(relu(y), mean, variance),
      (y) => norm(add(y, other), mean, variance),
      (y) => add(relu(y), other),
      (y) => relu(relu(y)),
      (y) => sigmoid(silu(y)),
      (y) => add(add(y, other), other),
      (y) => norm(norm(y, mean, variance), variance, variance),
      (y) => add(y, y),
      (y) => add(y, relu(y)),
      (y) => mul(y, sigmoid(y)),
      (y) => add(y, data.tensor([1, 1, 1, 4], 2, 2)),
      (y) => relu(reshape(y, [10, 24])),
      (y) => norm(reshape(y, [2, 5, 3, 8]), data.tensor([8], 1, 1), data.tensor([8], 2, 2)),
    ];
    for (const [i, chain] of chains.entries()) {
      expectClose(chain(conv2d(x, w, null, same)), chain(y).dataSync(), {}, `chain ${i}, seed ${data.seed}`);
    }
  });

  it.each([relu, relu6, sigmoid, tanh, silu])('computes the bits of %o', (activation) => {
    const [x, w, b, other] = [image(), weight(), data.tensor([4]), image()];
    const expected = activation(computed(add(computed(conv2d(x, w, b, same)), other)));
    expectExact(activation(add(conv2d(x, w, b, same), other)), expected.dataSync(), `seed ${data.seed}`);
  });

  it('may be read itself, before or after what continues it', () => {
    const [x, w] = [image(), weight()];
    const expected = computed(conv2d(x, w)).dataSync();
    const positive = expected.map((value) => Math.max(0, value));
    for (const first of ['product', 'step'] as const) {
      const y = conv2d(x, w);
      const z = relu(y);
      if (first === 'product') expectExact(y, expected);
      expectExact(z, positive);
      expectExact(y, expected);
    }
  });

  it('does not wait again when its own output was wanted after all', () => {
    const [x, w] = [image(), weight()];
    const both = (): void => {
      const y = conv2d(x, w);
      relu(y).dataSync();
      y.dataSync();
    };
    expect(commandsOf(both)).toBe(4); // two convolutions, two reads
    expect(commandsOf(both)).toBe(4); // a convolution, relu, two reads
    expect(commandsOf(() => conv2d(x, w))).toBe(1);
  });

  it('is computed once where both it and a step are operands', () => {
    const [x, w] = [image(), weight()];
    for (const swish of [(y: Tensor) => mul(y, sigmoid(y)), (y: Tensor) => mul(sigmoid(y), y)]) {
      expect(commandsOf(() => swish(conv2d(x, w)).dataSync())).toBe(4);
    }
  });

  it('uses the values that its operands had', () => {
    const [x, w, b, other, mean, variance] = [
      image(),
      weight(),
      data.tensor([4]),
      image(),
      data.tensor([4]),
      data.tensor([4], 1, 2),
    ];
    const make = (): Tensor[] => {
      const y = conv2d(x, w, b, same);
      const normalized = norm(y, mean, variance);
      return [y, normalized, add(normalized, other)];
    };
    for (const written of [x, w, b, other, mean, variance]) {
      const expected = make().map((y) => y.dataSync());
      const waiting = make();
      written.assign(data.tensor(written.shape, 3, 4));
      waiting.forEach((y, i) => expectClose(y, expected[i]!, {}, `result ${i}, seed ${data.seed}`));
    }
  });

  it('may be written to while it waits', () => {
    const [x, w] = [image(), weight()];
    const y = conv2d(x, w, null, same);
    const z = relu(y);
    const expected = computed(conv2d(x, w, null, same)).dataSync();
    const other = image();
    y.assign(other);
    expectExact(y, other.dataSync());
    expectExact(
      z,
      expected.map((value) => Math.max(0, value)),
    );
  });

  it('outlives its operands', () => {
    const [x, w] = [image(), weight()];
    const expected = computed(relu(conv2d(x, w))).dataSync();
    const y = tidy(() => relu(conv2d(x.detach(), w.detach())));
    x.dispose();
    w.dispose();
    for (let i = 0; i < 20; i++) data.tensor([2, 5, 6, 4]).dispose();
    expectExact(y, expected);
  });

  it('can be kept, detached and disposed', () => {
    const [x, w] = [image(), weight()];
    const expected = computed(conv2d(x, w)).dataSync();
    const kept: Tensor[] = [];
    const z = tidy(() => {
      kept.push(keep(conv2d(x, w)));
      return relu(kept[0]!.detach());
    });
    expectExact(
      z,
      expected.map((value) => Math.max(0, value)),
    );
    expectExact(kept[0]!, expected);
    z.dispose();
    expectExact(kept[0]!, expected);
  });

  it('runs without being read: when it is waited for, and when it is disposed', async () => {
    const [x, w] = [image(), weight()];
    expect(commandsOf(() => conv2d(x, w))).toBe(0);
    expect(commandsOf(() => void synchronize())).toBe(2);
    await synchronize();
    expect(commandsOf(() => conv2d(x, w).dispose())).toBe(1);
    expect(commandsOf(() => tidy(() => void relu(conv2d(x, w))))).toBe(1);
  });

  it('reports bad shapes where they are', () => {
    const y = conv2d(image(), weight());
    expect(errorOf(() => conv2d(image(), data.tensor([3, 3, 5, 4])))).toMatchObject({ code: 'ERR_SHAPE' });
    expect(errorOf(() => add(y, data.tensor([7])))).toMatchObject({ code: 'ERR_SHAPE' });
    expect(errorOf(() => norm(y, data.tensor([5]), data.tensor([5])))).toMatchObject({ code: 'ERR_SHAPE' });
    expect(y.shape).toEqual([2, 3, 4, 4]);
    expect(y.dataSync().every(Number.isFinite)).toBe(true);
  });

  it('takes no more memory than it needs', () => {
    const [x, w] = [image(), weight()];
    const run = (): void => tidy(() => relu(conv2d(x, w, null, same)).dataSync()) as unknown as void;
    run();
    const { bytes } = memory();
    const [y, z] = tidy(() => {
      const y = conv2d(x, w, null, same);
      return [y, relu(y)];
    }) as [Tensor, Tensor];
    expect(memory().bytes - bytes).toBe(1024); // of one of the two outputs
    y.dispose();
    z.dispose();
    expect(memory().bytes).toBe(bytes);
  });
});

describe('other products', () => {
  it('of matrices wait as well', () => {
    const [a, b, bias, residual] = [data.tensor([3, 5]), data.tensor([5, 4]), data.tensor([4]), data.tensor([3, 4])];
    const [mean, variance] = [data.tensor([4]), data.tensor([4], 1, 2)];
    for (const transposeB of [false, true]) {
      const right = transposeB ? data.tensor([4, 5]) : b;
      const product = (): Tensor => matmul(a, right, { bias, transposeB });
      const expected = silu(computed(add(computed(norm(computed(product()), mean, variance)), residual)));
      const actual = (): Tensor => silu(add(norm(product(), mean, variance), residual));
      expectClose(actual(), expected.dataSync(), {}, `seed ${data.seed}`);
      expect(commandsOf(() => actual().dataSync())).toBe(2);
    }
    const batched = (): Tensor =>
      norm(matmul(data.tensor([2, 3, 5], 1, 1), data.tensor([2, 5, 4], 1, 1)), mean, variance);
    expectClose(batched(), norm(zeros([2, 3, 4]).add(5), mean, variance).dataSync());
  });

  it.each([1, 2])('of transposed convolution in %i groups wait as well', (groups) => {
    const [x, w, mean, variance] = [
      image(),
      data.tensor([3, 3, 3, 4]),
      data.tensor([3 * groups]),
      data.tensor([3 * groups], 1, 2),
    ];
    const product = (): Tensor => convTranspose2d(x, w, null, { stride: 2, groups });
    const expected = relu(computed(norm(computed(product()), mean, variance)));
    const actual = (): Tensor => relu(norm(product(), mean, variance));
    expectClose(actual(), expected.dataSync(), {}, `seed ${data.seed}`);
    expect(commandsOf(() => actual().dataSync())).toBe(groups === 1 ? 2 : 4);
  });
});

describe('gradients', () => {
  it('are those of the ops by themselves, though their values are computed together', () => {
    const [x, w, other] = [image(), weight(), image()];
    for (const tensor of [x, w, other]) tensor.requiresGrad = true;
    const gradients = (look: (y: Tensor) => Tensor): Float32Array[] => {
      sum(sigmoid(add(look(relu(look(conv2d(x, w, null, same)))), other))).backward();
      return [x, w, other].map((tensor) => {
        const values = tensor.grad!.dataSync();
        tensor.grad!.dispose();
        tensor.grad = null;
        return values;
      });
    };
    const expected = gradients(computed);
    gradients((y) => y).forEach((values, i) => expectExact(values, expected[i]!));
    expect(commandsOf(() => relu(conv2d(x, w)).dataSync())).toBe(2);
  });

  it('keep what they need from being computed twice', () => {
    const [x, w] = [image(), weight()];
    w.requiresGrad = true;
    const forward = (): Tensor => silu(conv2d(x, w, null, same));
    expect(commandsOf(() => noGrad(forward).dataSync())).toBe(2);
    expect(commandsOf(() => forward().dataSync())).toBe(3);
    expect(commandsOf(() => noGrad(forward).dataSync())).toBe(2);
  });
});
