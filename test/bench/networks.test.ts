import { describe, expect, test } from 'vitest';
import { networks, type NetworkName } from '../../benchmarks/networks';
import { flopsOfNetwork } from '../../benchmarks/networks/flops';
import { loadTorchWeights } from '../../benchmarks/networks/torchWeights';
import {
  conv2d,
  flatten,
  linear,
  memory,
  nn,
  noGrad,
  randomUniform,
  tensor,
  tidy,
  transpose,
  type Tensor,
} from '../../lib';
import { expectClose } from '../support/compare';

// What Keras says of the first, and torchvision of the large ones.
const published: [NetworkName, number][] = [
  ['Keras CNN', 167_562],
  ['SimpleCNN', 167_562],
  ['VGG16', 138_357_544],
  ['ResNet-18', 11_689_512],
  ['ResNet-50', 25_557_032],
  ['EfficientNet-B0', 5_288_548],
  ['MobileNetV2', 3_504_872],
];

describe('the networks of the benchmarks', () => {
  test.each(published)('%s has %i parameters', (name, count) => {
    const model: nn.Module = networks[name].make();
    expect(model.parameters().reduce((sum, { size }) => sum + size, 0)).toBe(count);
    model.dispose();
  });

  test.each(['ResNet-18', 'ResNet-50', 'EfficientNet-B0', 'MobileNetV2', 'ResNet-18 for CIFAR'] as const)(
    '%s trains, and predicts another thing than in training',
    (name) => {
      const model: nn.Module = networks[name].make();
      tidy(() => {
        const x = randomUniform([2, 64, 64, 3]);
        const y = model(x) as Tensor;
        y.sum().backward();
        for (const [path, { grad }] of model.namedParameters()) expect(grad, path).not.toBeNull();
        const inferred = noGrad(() => model.eval()(x) as Tensor);
        expect(inferred.shape).toEqual([2, name.includes('CIFAR') ? 10 : 1000]);
        expect(inferred.dataSync()).not.toEqual(y.dataSync());
      });
      model.zeroGrad();
      model.dispose();
    },
  );
});

describe('operations of a network', () => {
  const network = (): nn.Sequential =>
    new nn.Sequential(
      new nn.Conv2d(4, 6, { kernelSize: 3, padding: 1, groups: 2 }),
      new nn.ReLU(),
      new nn.Flatten(),
      new nn.Linear(5 * 5 * 6, 7),
    );
  const [conv, dense] = [2 * 5 * 5 * 6 * 9 * 2, 2 * 150 * 7];

  test('are those of its layers, and three times as many in training but for the gradient of the input', () => {
    const model = network();
    const before = memory().tensors;
    expect(flopsOfNetwork(model, [5, 5, 4], false)).toBe(conv + dense);
    expect(flopsOfNetwork(model, [5, 5, 4], true)).toBe(2 * conv + 3 * dense);
    model.at(0)!.trainable = false;
    expect(flopsOfNetwork(model, [5, 5, 4], true)).toBe(conv + 2 * dense);
    expect(memory().tensors).toBe(before);
    model.dispose();
  });
});

test('weights of PyTorch find their places, behind a flattened image too', () => {
  class Model extends nn.Module {
    conv = new nn.Conv2d(3, 4, { kernelSize: [2, 3] });
    bn = new nn.BatchNorm2d(4);
    fc = new nn.Linear(3 * 2 * 4, 5);

    forward(x: Tensor): Tensor {
      return this.fc(flatten(this.bn(this.conv(x))));
    }
  }
  tidy(() => {
    const model = new Model().eval();
    const [weight, dense] = [randomUniform([4, 3, 2, 3]), randomUniform([5, 4 * 3 * 2])];
    const weights = new Map<string, Tensor>([
      ['conv.weight', weight],
      ['conv.bias', randomUniform([4])],
      ['bn.weight', tensor([1, 1, 1, 1])],
      ['bn.bias', tensor([0, 0, 0, 0])],
      ['bn.running_mean', randomUniform([4])],
      ['bn.running_var', tensor([1, 1, 1, 1])],
      ['bn.num_batches_tracked', tensor(3)],
      ['fc.weight', dense],
      ['fc.bias', randomUniform([5])],
    ]);
    loadTorchWeights(model, weights, ['fc.weight', [3, 2, 4]]);
    const x = randomUniform([2, 4, 4, 3]);
    const image = conv2d(x, transpose(weight, [2, 3, 1, 0]), weights.get('conv.bias')!).sub(
      weights.get('bn.running_mean')!,
    );
    const channelsFirst = flatten(transpose(image, [0, 3, 1, 2]));
    const expected = linear(channelsFirst, transpose(dense), weights.get('fc.bias')!);
    expectClose(model(x), Array.from(expected.dataSync()), { relative: 1e-4 });
  });
});
