import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import {
  full,
  keep,
  memory,
  ones,
  relu,
  scalar,
  setMemoryLimit,
  tensor,
  tidy,
  trimMemory,
  zeros,
  type Tensor,
} from '../../lib';
import { errorOf } from '../support/compare';

describe('tensor()', () => {
  it('takes nested arrays, typed arrays and scalars', () => {
    expect(
      tensor([
        [1, 2, 3],
        [4, 5, 6],
      ]),
    ).toMatchObject({ shape: [2, 3], dtype: 'float32', size: 6, rank: 2 });
    expect(tensor(new Int32Array([1, 2]))).toMatchObject({ shape: [2], dtype: 'int32' });
    expect(tensor(new Uint8Array(6), [1, 2, 3])).toMatchObject({ shape: [1, 2, 3], dtype: 'uint8' });
    expect(tensor(4).item()).toBe(4);
    expect(tensor([1.7, 2], [2], 'int32').dataSync()).toEqual(new Int32Array([1, 2]));
  });

  it('copies its data at once', () => {
    const source = new Float32Array([1, 2, 3]);
    const t = tensor(source);
    source.fill(9);
    expect(t.arraySync()).toEqual([1, 2, 3]);
  });

  it('names what is wrong with bad data', () => {
    expect(errorOf(() => tensor([[1, 2], [3]]))).toMatchObject({ code: 'ERR_SHAPE', message: /ragged/ });
    expect(errorOf(() => tensor([1, 2, 3], [2, 2]))).toMatchObject({
      code: 'ERR_SHAPE',
      message: /3 elements.*\[2, 2\] wants 4/,
    });
    expect(errorOf(() => tensor([1, 'x'] as unknown as number[]))).toMatchObject({ code: 'ERR_VALUE' });
    expect(errorOf(() => tensor([0, NaN], [2], 'int32'))).toMatchObject({
      code: 'ERR_VALUE',
      message: /element 1 is NaN/,
    });
    expect(errorOf(() => tensor([256], [1], 'uint8'))).toMatchObject({
      code: 'ERR_VALUE',
      message: /256, which uint8/,
    });
    expect(errorOf(() => zeros([2, 0]))).toMatchObject({ code: 'ERR_SHAPE', message: /at least 1, got \[2, 0\]/ });
    expect(errorOf(() => zeros([1e9, 1e9]))).toMatchObject({ code: 'ERR_SHAPE' });
    expect(errorOf(() => zeros([2, 3], 'float64' as 'float32'))).toMatchObject({
      code: 'ERR_VALUE',
      message: /dtype must be one of/,
    });
  });

  it('gives its elements back in every form', async () => {
    const t = tensor([
      [1, 2],
      [3, 4],
    ]);
    expect(await t.data()).toEqual(new Float32Array([1, 2, 3, 4]));
    expect(await t.array()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(full([2], 7, 'uint8').dataSync()).toEqual(new Uint8Array([7, 7]));
    expect(errorOf(() => t.item())).toMatchObject({ code: 'ERR_SHAPE' });
  });

  it('prints values, shape and dtype, and abbreviates', () => {
    expect(
      String(
        tensor([
          [1, 2.5],
          [0, NaN],
        ]),
      ),
    ).toBe('tensor([[1.0000, 2.5000],\n        [0.0000,    nan]], shape=[2, 2], dtype=float32)');
    expect(String(scalar(3, 'int32'))).toBe('tensor(3, shape=[], dtype=int32)');
    expect(String(zeros([2000]))).toBe('tensor([0., 0., 0., ..., 0., 0., 0.], shape=[2000], dtype=float32)');
    const gone = ones([2]);
    gone.dispose();
    expect(inspect(gone)).toBe('Tensor(disposed)');
  });

  it('assigns in place', () => {
    const t = zeros([3]);
    t.assign(tensor([1, 2, 3]));
    expect(t.arraySync()).toEqual([1, 2, 3]);
    expect(errorOf(() => t.assign(zeros([4])))).toMatchObject({
      code: 'ERR_SHAPE',
      message: 'copy: source must have shape [3], got [4]',
    });
  });
});

describe('memory', () => {
  it('goes back with dispose, using and tidy', () => {
    const before = memory();
    {
      using t = zeros([1000]);
      expect(memory().blocks).toBe(before.blocks + 1);
      t.dispose();
      t.dispose();
    }
    const kept: Tensor[] = [];
    const { y } = tidy(() => {
      const x = zeros([10]);
      kept.push(keep(relu(x)));
      return { y: relu(x), other: [1, 'text', null] };
    });
    expect(memory().tensors).toBe(before.tensors + 2);
    y.dispose();
    kept[0]!.dispose();
    expect(memory()).toMatchObject({ tensors: before.tensors, blocks: before.blocks, bytes: before.bytes });
  });

  it('goes back when a tidy throws, and tidy refuses promises', () => {
    const before = memory().tensors;
    expect(() =>
      tidy(() => {
        zeros([3]);
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(errorOf(() => tidy(async () => zeros([3])))).toMatchObject({ code: 'ERR_VALUE' });
    expect(memory().tensors).toBe(before);
  });

  it('has a limit, after which work goes on', () => {
    trimMemory();
    setMemoryLimit(memory().bytes + (1 << 20));
    try {
      expect(errorOf(() => zeros([1 << 20]))).toMatchObject({ code: 'ERR_MEMORY', message: /asked for 4194304 bytes/ });
      using small = ones([100]);
      expect(small.dataSync()[99]).toBe(1);
    } finally {
      setMemoryLimit(0);
    }
  });
});
