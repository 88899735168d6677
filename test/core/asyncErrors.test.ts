import { describe, expect, it } from 'vitest';
import { crossEntropy, memory, synchronize, tensor, tidy, zeros } from '../../lib';
import { errorOf } from '../support/compare';

const logits = tensor([
  [1, 2, 3],
  [4, 5, 6],
]);
const badLabels = tensor([0, 12], [2], 'int32');
const goodLabels = tensor([0, 2], [2], 'int32');

describe('an error that a kernel finds', () => {
  it('is thrown by whoever waits for the result, naming op, operand, value and range', async () => {
    using loss = crossEntropy(logits, badLabels);
    await expect(loss.data()).rejects.toMatchObject({
      name: 'ConvgradError',
      code: 'ERR_VALUE',
      message: expect.stringMatching(/^crossEntropy: labels\[1\] is 12, wanted 0\.\.2/),
    });
    expect(errorOf(() => crossEntropy(logits, badLabels).dataSync())).toMatchObject({ code: 'ERR_VALUE' });
    crossEntropy(logits, badLabels);
    await expect(synchronize()).rejects.toMatchObject({ code: 'ERR_VALUE' });
  });

  it('is thrown by the next op, when nobody waits', async () => {
    crossEntropy(logits, badLabels);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(errorOf(() => zeros([3]))).toMatchObject({ code: 'ERR_VALUE', message: /12/ });
  });

  it('is thrown once, and the device goes on', () => {
    expect(errorOf(() => crossEntropy(logits, badLabels).item()).message).toMatch(/12/);
    expect(crossEntropy(logits, goodLabels).item()).toBeCloseTo(
      (Math.log(Math.exp(-2) + Math.exp(-1) + 1) * 2 + 2) / 2,
      5,
    );
  });

  it('keeps what was enqueued after it from running: no state is built on a failed result', () => {
    const weight = tensor([7, 7]);
    const before = memory();
    expect(
      errorOf(() =>
        tidy(() => {
          const loss = crossEntropy(logits, badLabels);
          weight.assign(tensor([0, 0]));
          loss.item();
        }),
      ).message,
    ).toMatch(/12/);
    expect(weight.arraySync()).toEqual([7, 7]);
    expect(memory()).toMatchObject({ tensors: before.tensors, blocks: before.blocks });
    weight.assign(tensor([1, 2]));
    expect(weight.arraySync()).toEqual([1, 2]);
  });
});
