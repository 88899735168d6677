import { describe, expect, it } from 'vitest';
import { add, capture, conv2d, memory, nn, noGrad, relu, silu, sum, tidy, type Tensor } from '../../lib';
import { expectExact } from '../support/compare';
import { TestData } from '../support/random';

const data = new TestData();

class Block extends nn.Module {
  conv = new nn.Conv2d(4, 4, { kernelSize: 3, padding: 1 });
  bn = new nn.BatchNorm2d(4);

  forward(x: Tensor): Tensor {
    return relu(add(this.bn(this.conv(x)), x));
  }
}

const image = (): Tensor => data.tensor([2, 5, 6, 4]);

describe('recorded functions', () => {
  it('compute what waits as the function itself does, after every change of weights and statistics', () => {
    const model = new Block().eval();
    const predict = (x: Tensor): Tensor => noGrad(() => model(x));
    const plan = capture(predict);
    const check = (what: string): void => {
      for (let i = 0; i < 3; i++) {
        const x = image();
        const [expected, actual] = [predict(x), plan.run(x)];
        expectExact(actual, expected.dataSync(), `${what}, call ${i}, seed ${data.seed}`);
        for (const tensor of [x, expected, actual]) tensor.dispose();
      }
    };
    check('at first');
    for (const [path, value] of model.stateDict()) {
      noGrad(() => value.assign(data.tensor(value.shape, 0.5, 1)));
      check(path);
    }
    model.train();
    model(image()).dispose();
    model.eval();
    check('training');
    const { bytes } = memory();
    check('nothing');
    expect(memory().bytes).toBe(bytes);
  });

  it('write what others wait to read only after that', () => {
    const [x, w, other] = [image(), data.tensor([3, 3, 4, 4]), data.tensor([3, 3, 4, 4])];
    const plan = capture((value: Tensor) => w.assign(value));
    for (let i = 0; i < 4; i++) {
      const before = conv2d(x, w).dataSync();
      const y = conv2d(x, w);
      plan.run(i % 2 ? other : data.tensor([3, 3, 4, 4]));
      expectExact(y, before, `call ${i}`);
    }
  });

  it('may read what waited before they were recorded', () => {
    const [x, w] = [image(), data.tensor([3, 3, 4, 4])];
    const y = conv2d(x, w);
    const z = silu(y);
    const plan = capture((a: Tensor) => add(relu(y), a));
    for (let i = 0; i < 4; i++) {
      const a = data.tensor(y.shape);
      expectExact(plan.run(a), add(relu(conv2d(x, w)), a).dataSync(), `call ${i}`);
    }
    expectExact(z, silu(conv2d(x, w)).dataSync());
  });

  it('train as the function itself does', () => {
    const losses = [false, true].map((recorded) => {
      const model = new nn.Sequential(
        new nn.Conv2d(4, 4, { kernelSize: 3 }),
        new nn.BatchNorm2d(4),
        new nn.Conv2d(4, 2, 1),
      );
      for (const [i, value] of [...model.stateDict().values()].entries()) {
        noGrad(() => tidy(() => value.assign(new TestData(i).tensor(value.shape, 0.1, 1))));
      }
      const step = (x: Tensor): Tensor => {
        const loss = sum(relu(model(x)));
        model.zeroGrad();
        loss.backward();
        noGrad(() =>
          tidy(() => {
            for (const parameter of model.parameters()) parameter.assign(parameter.sub(parameter.grad!.mul(1e-4)));
          }),
        );
        return loss;
      };
      const run = recorded ? capture(step) : { run: step };
      return Array.from({ length: 6 }, (_, i) => run.run(new TestData(i).tensor([2, 5, 6, 4])).item());
    });
    expect(losses[1]).toEqual(losses[0]);
  });
});
