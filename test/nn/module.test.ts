import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ConvgradError, keep, memory, nn, ones, relu, square, tensor, tidy, zeros, type Tensor } from '../../lib';
import { errorOf, expectExact } from '../support/compare';

class Scale extends nn.Module {
  factor = new nn.Parameter(tensor([2, 3]));
  calls = new nn.Buffer(zeros([1], 'int32'));

  forward(x: Tensor): Tensor {
    if (x.shape.at(-1) !== 2) throw new ConvgradError('ERR_SHAPE', 'x must have 2 columns');
    return square(x);
  }

  override extraRepr(): string {
    return '2';
  }
}

class Net extends nn.Module {
  first = new Scale();
  blocks = [new Scale(), new nn.Sequential(new Scale())];
  shared = this.first;
  #secret = new Scale();

  forward(x: Tensor): Tensor {
    return relu(this.blocks[1]!(this.blocks[0]!(this.first(x))));
  }

  hidden(): nn.Module {
    return this.#secret;
  }
}

describe('Module', () => {
  it('is called like a function, and is an object in every other way', () => {
    const net = new Net();
    expectExact(net(tensor([1, 2], [1, 2])), [1, 256]);
    expectExact(net.call(tensor([1, 2], [1, 2])), [1, 256]);
    expect(net).toBeInstanceOf(nn.Module);
    expect(net).toBeInstanceOf(Net);
    expect(Object.keys(net.first)).toEqual(expect.arrayContaining(['training', 'factor', 'calls']));
    expect(net.hidden()).toBeInstanceOf(Scale);
  });

  it('finds modules, parameters and buffers in properties and arrays, each once', () => {
    const net = new Net();
    expect(Array.from(net.namedModules(), ([path]) => path)).toEqual([
      '',
      'first',
      'blocks.0',
      'blocks.1',
      'blocks.1.0',
    ]);
    expect(Array.from(net.namedParameters(), ([path]) => path)).toEqual([
      'first.factor',
      'blocks.0.factor',
      'blocks.1.0.factor',
    ]);
    expect(Array.from(net.namedBuffers(), ([path]) => path)).toEqual([
      'first.calls',
      'blocks.0.calls',
      'blocks.1.0.calls',
    ]);
    expect([...net.stateDict().keys()]).toHaveLength(6);
  });

  it('keeps parameters out of tidy, frees what forward leaves behind, and disposes everything', () => {
    const before = memory().tensors;
    const net = tidy(() => new Net());
    const y = net(ones([1, 2]));
    expect(memory().tensors).toBe(before + 8 + 2); // 4 Scales of 2, the input and the output
    expect(y.isDisposed).toBe(false);
    expect(net.first.factor.isDisposed).toBe(false);
    net.dispose();
    net.hidden().dispose();
    expect(memory().tensors).toBe(before + 2);
  });

  it('frees only what is not kept', () => {
    class Stash extends nn.Module {
      lost: Tensor | null = null;
      kept: Tensor | null = null;
      forward(x: Tensor): Tensor {
        this.lost = square(x);
        this.kept = keep(square(x));
        return square(x);
      }
    }
    const stash = new Stash();
    stash(ones([1]));
    expect(stash.lost!.isDisposed).toBe(true);
    expect(stash.kept!.isDisposed).toBe(false);
    stash.dispose();
  });

  it('names the layer in an error, once, and keeps its code and the line that threw', () => {
    const error = errorOf(() => new Net()(zeros([1, 3])));
    expect(error).toMatchObject({ code: 'ERR_SHAPE', message: 'Net.first (Scale): x must have 2 columns' });
    expect(error.stack).toContain('Net.first (Scale): x must have 2 columns');
    expect(error.stack).toContain('module.test');
    const deep = new nn.Sequential(['body', new nn.Sequential(new Scale())]);
    expect(errorOf(() => deep(zeros([3]))).message).toBe('Sequential.body.0 (Scale): x must have 2 columns');
    expect(errorOf(() => new Scale()(zeros([3]))).message).toBe('Scale: x must have 2 columns');
  });

  it('leaks nothing over bad calls', () => {
    class Late extends nn.Module {
      scale = new Scale();
      forward(x: Tensor): Tensor {
        const halfway = square(square(x));
        this.scale(halfway);
        return halfway;
      }
    }
    const net = new Late();
    const x = ones([1, 3]);
    const before = memory();
    for (let i = 0; i < 10_000; i++) errorOf(() => net(x));
    expect(memory()).toMatchObject({ tensors: before.tensors, blocks: before.blocks, bytes: before.bytes });
  });

  it('switches modes of everything inside', () => {
    const net = new Net().eval();
    expect(net.modules().map((module) => module.training)).toEqual([false, false, false, false, false]);
    net.blocks[1]!.train();
    expect(net.modules().map((module) => module.training)).toEqual([false, false, false, true, true]);
  });

  it('freezes and thaws parameters with trainable', () => {
    const net = new Net();
    net.blocks[1]!.trainable = false;
    expect(net.trainableParameters()).toEqual([net.first.factor, (net.blocks[0] as Scale).factor]);
    net.trainable = false;
    expect(net.trainableParameters()).toEqual([]);
    expect(net.first.trainable).toBe(false);
    net.trainable = true;
    expect(net.trainableParameters()).toHaveLength(3);
  });

  it('prints as PyTorch does', () => {
    const text = `Net(
  (first): Scale(2)
  (blocks.0): Scale(2)
  (blocks.1): Sequential(
    (0): Scale(2)
  )
  (shared): Scale(2)
)`;
    expect(String(new Net())).toBe(text);
    expect(inspect(new Net())).toBe(text);
    expect(String(new nn.ModuleList([new Scale(), new Scale()]))).toBe('ModuleList(\n  (0-1): 2 x Scale(2)\n)');
    expect(String(new nn.Sequential())).toBe('Sequential()');
  });

  it('calls hooks until they are taken away', () => {
    const net = new Net();
    const seen: unknown[] = [];
    const remove = net.first.registerForwardHook((module, inputs, output) =>
      seen.push([module, inputs.length, (output as Tensor).dataSync()[0]]),
    );
    net(tensor([3, 2], [1, 2]));
    remove();
    net(tensor([3, 2], [1, 2]));
    expect(seen).toEqual([[net.first, 1, 9]]);
  });
});

describe('state', () => {
  it('goes from one module to another', () => {
    const [a, b] = [new Net(), new Net()];
    a.first.factor.assign(tensor([7, 8]));
    expect(b.loadStateDict(a.stateDict())).toEqual({ missing: [], unexpected: [] });
    expectExact(b.first.factor, [7, 8]);
    b.loadStateDict(Object.fromEntries(a.stateDict()));
  });

  it('is refused as a whole, with everything that does not fit', () => {
    const net = new Net();
    const state: Record<string, Tensor> = Object.fromEntries(net.stateDict()) as never;
    delete state['first.factor'];
    state['extra'] = zeros([1]);
    state['blocks.0.factor'] = zeros([3]);
    state['blocks.1.0.factor'] = tensor([9, 9]);
    state['blocks.1.0.calls'] = zeros([1]);
    const error = errorOf(() => net.loadStateDict(state));
    expect(error).toMatchObject({
      code: 'ERR_VALUE',
      message:
        'loadStateDict: Net does not fit: missing: first.factor; unexpected: extra; of another shape or dtype: ' +
        'blocks.0.factor is float32 [3], wanted float32 [2], blocks.1.0.calls is float32 [1], wanted int32 [1]',
    });
    expectExact([...net.namedParameters()][2]![1], [2, 3]);
    delete state['blocks.0.factor'];
    delete state['blocks.1.0.calls'];
    expect(net.loadStateDict(state, { strict: false })).toEqual({
      missing: ['first.factor', 'first.calls', 'blocks.0.factor', 'blocks.1.0.calls'].filter(
        (n) => n !== 'first.calls',
      ),
      unexpected: ['extra'],
    });
    expectExact([...net.namedParameters()][2]![1], [9, 9]);
  });
});

describe('Sequential', () => {
  it('is a list of layers', () => {
    const [a, b, c] = [new Scale(), new Scale(), new Scale()];
    const model = new nn.Sequential(a, b).add(c);
    expect([...model]).toEqual([a, b, c]);
    expect([model.length, model.at(-1), model.layers[1]]).toEqual([3, c, b]);
    expectExact(model(tensor([1, 2], [1, 2])), [1, 256]);
    expect([...new nn.Sequential([a, b])]).toEqual([a, b]);
    expect(errorOf(() => model.getLayer('x')).message).toBe("no layer is named 'x': there are 0, 1, 2");
    expect(errorOf(() => new nn.Sequential(3 as never))).toMatchObject({ code: 'ERR_VALUE' });
  });

  it('names layers by index, or as told', () => {
    const model = new nn.Sequential(['a', new Scale()], new Scale());
    expect(Array.from(model.namedParameters(), ([path]) => path)).toEqual(['a.factor', '1.factor']);
    expect(model.getLayer('a')).toBe(model.at(0));
    expect(errorOf(() => model.add(['a', new Scale()])).message).toBe("two layers of one model are named 'a'");
    expect(model.length).toBe(2);
  });
});
