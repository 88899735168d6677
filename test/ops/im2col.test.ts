import { describe, expect, it } from 'vitest';
import * as cg from '../../lib';
import { col2im, conv2d, depthwiseConv2d, gradCheck, im2col, matmul, tensor } from '../../lib';
import { oddConvs } from '../problems';
import { im2col as reference, inputShape, resolve } from '../reference/conv2d';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { withThreadCounts } from '../support/isas';
import { TestData } from '../support/random';

const problems = oddConvs.filter(({ r, s, c, groups }) => groups === 1 && r * s * c <= 300);

describe.each(problems)('im2col, $name', (problem) => {
  const conv = resolve({ ...problem, groups: 1 });
  const { r, s, c, p, q, n, stride, padding, dilation } = conv;
  const options = { kernelSize: [r, s] as const, stride, padding, dilation };
  const data = new TestData();
  const context = `seed ${data.seed}`;

  it('writes every window as a row', () => {
    const x = data.tensor(inputShape(conv));
    const columns = im2col(x, options);
    expect(columns.shape).toEqual([n, p, q, r * s * c]);
    expectExact(columns, reference(conv, x.dataSync()), context);
  });

  it('is undone by col2im, which counts the windows of each pixel', () => {
    const shape = inputShape(conv);
    const ones = cg.ones([n, p, q, r * s * c]);
    const counts = col2im(ones, shape, options).dataSync();
    const x = data.integers(counts.length);
    const back = col2im(im2col(tensor(x, shape), options), shape, options);
    expectExact(
      back,
      x.map((value, i) => value * counts[i]!),
      context,
    );
  });

  it('gives the same numbers for any number of threads', () => {
    const x = data.tensor(inputShape(conv));
    const [one, ...others] = withThreadCounts(() => col2im(im2col(x, options), inputShape(conv), options).dataSync());
    for (const other of others) expectExact(other, one!, context);
  });
});

describe('im2col and col2im', () => {
  const data = new TestData();
  const options = {
    kernelSize: [2, 3],
    stride: [2, 1],
    padding: [
      [1, 0],
      [1, 2],
    ],
    dilation: [1, 2],
  } as const;

  it('have the gradients that finite differences show', () => {
    const x = data.tensor([2, 4, 5, 2]);
    const columns = im2col(x, options);
    gradCheck((x) => im2col(x, options), [x]);
    gradCheck((columns) => col2im(columns, x.shape, options), [data.tensor(columns.shape)]);
  });

  it('with a product, are a convolution', () => {
    const [x, weight] = [data.tensor([2, 6, 7, 3]), data.tensor([3, 3, 3, 4])];
    const columns = im2col(x, { kernelSize: 3, padding: 'same' });
    const y = matmul(columns, tensor(weight.dataSync(), [27, 4]));
    expectClose(y, conv2d(x, weight, null, { padding: 'same' }).dataSync(), {}, `seed ${data.seed}`);
  });

  it.each([
    {
      body: () => im2col(cg.zeros([4, 4, 1]), { kernelSize: 2 }),
      message: 'im2col: input must have 4 dimensions [N, H, W, C], got [4, 4, 1]',
    },
    {
      body: () => im2col(cg.zeros([1, 4, 4, 1]), { kernelSize: 0 }),
      message: 'im2col: kernelSize must be [height, width], each at least 1',
    },
    {
      body: () => im2col(cg.zeros([1, 4, 4, 1]), { kernelSize: 5 }),
      message: "im2col: the kernel's height, 5, is larger than the input's, 4",
    },
    {
      body: () => col2im(cg.zeros([1, 3, 3, 5]), [1, 4, 4, 1], { kernelSize: 2 }),
      message: 'col2im: columns must have shape [1, 3, 3, 4], got [1, 3, 3, 5]',
    },
  ])('refuse bad input: $message', ({ body, message }) => {
    expect(errorOf(body).message).toBe(message);
  });
});

describe('depthwiseConv2d', () => {
  const data = new TestData();

  it('makes output channels c·M … c·M + M - 1 from channel c', () => {
    const x = tensor([1, 10], [1, 1, 1, 2]);
    const weight = tensor([1, 2, 3, 4, 5, 6], [1, 1, 2, 3]);
    expectExact(depthwiseConv2d(x, weight), [1, 2, 3, 40, 50, 60]);
  });

  it('has the gradients that finite differences show', () => {
    const [x, weight, bias] = [data.tensor([1, 5, 4, 3]), data.tensor([3, 3, 3, 2]), data.tensor([6])];
    gradCheck((x, weight, bias) => depthwiseConv2d(x, weight, bias, { stride: 2, padding: 'same' }), [x, weight, bias]);
  });

  it.each([
    {
      body: () => depthwiseConv2d(cg.zeros([1, 4, 4, 3]), cg.zeros([3, 3, 2, 1])),
      message: 'depthwiseConv2d: weight [3, 3, 2, 1] wants 2 input channels, input [1, 4, 4, 3] has 3',
    },
    {
      body: () => depthwiseConv2d(cg.zeros([1, 4, 4, 3]), cg.zeros([3, 3, 3])),
      message: 'depthwiseConv2d: weight must have 4 dimensions [R, S, C, M], got [3, 3, 3]',
    },
  ])('refuses bad input: $message', ({ body, message }) => {
    expect(errorOf(body).message).toBe(message);
  });
});
