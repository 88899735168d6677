import { describe, expect, it } from 'vitest';
import { nn, tensor, tidy, type Tensor } from '../../lib';
import { loadCases, typedData, type Case, type Golden } from '../fixtures/load';
import { expectClose } from '../support/compare';

type Values = Pick<Case, 'inputs' | 'upstream' | 'outputs' | 'grads'>;

const asTensor = (golden: Golden): Tensor => tensor(typedData(golden) as Float32Array, golden.shape);

/** Copies the case's parameters and buffers into the layer. */
function load(layer: nn.Module, { inputs }: Values): void {
  for (const [name, own] of layer.stateDict()) tidy(() => (own as Tensor).assign(asTensor(inputs[name]!)));
}

/** Forward and backward through a layer agree with PyTorch, for the inputs and for every parameter. */
function check(layer: nn.Module, golden: Values): void {
  load(layer, golden);
  const x = asTensor(golden.inputs['input']!);
  x.requiresGrad = true;
  const y: Tensor = layer(x);
  const expected = golden.outputs['output']!;
  expect(y.shape).toEqual(expected.shape);
  expectClose(y, expected.data, { relative: 1e-5, absolute: 1e-6 });
  y.backward({ gradient: asTensor(golden.upstream['output']!) });
  expectClose(x.grad!, golden.grads['input']!.data, { relative: 1e-5, absolute: 1e-6 });
  for (const [name, parameter] of layer.namedParameters()) {
    expectClose(parameter.grad!, golden.grads[name]!.data, { relative: 1e-5, absolute: 1e-6 });
  }
}

describe('layers agree with PyTorch', () => {
  it.each(loadCases<nn.Conv2dOptions>('conv', 'conv2d'))('$name', (golden) => {
    const [r, s, channels, outputs] = golden.inputs['weight']!.shape as [number, number, number, number];
    const { groups = 1 } = golden.config;
    const options = { ...golden.config, kernelSize: [r, s] as const, bias: 'bias' in golden.inputs };
    check(new nn.Conv2d(channels * groups, outputs, options), golden);
  });

  it.each(loadCases<nn.Conv2dOptions>('conv', 'depthwiseConv2d'))('$name', (golden) => {
    const [r, s, channels, depthMultiplier] = golden.inputs['weight']!.shape as [number, number, number, number];
    const options = { ...golden.config, kernelSize: [r, s] as const, bias: 'bias' in golden.inputs, depthMultiplier };
    check(new nn.DepthwiseConv2d(channels, options), golden);
  });

  it.each(loadCases<nn.ConvTranspose2dOptions>('conv', 'convTranspose2d'))('$name', (golden) => {
    const [r, s, outputs, channels] = golden.inputs['weight']!.shape as [number, number, number, number];
    const { groups = 1, padding, outputPadding, ...config } = golden.config;
    const layer = new nn.ConvTranspose2d(channels, outputs * groups, {
      ...config,
      groups,
      padding,
      outputPadding: padding === 'same' ? undefined : outputPadding,
      kernelSize: [r, s],
      bias: 'bias' in golden.inputs,
    });
    check(layer, golden);
  });

  it.each(loadCases('linear', 'linear'))('$name', (golden) => {
    const [inputs, outputs] = golden.inputs['weight']!.shape as [number, number];
    check(new nn.Linear(inputs, outputs, { bias: 'bias' in golden.inputs }), golden);
  });

  it.each(loadCases<nn.Pool2dOptions & { kernelSize: [number, number] }>('pool', 'maxPool2d'))('$name', (golden) => {
    const { kernelSize, ...options } = golden.config;
    check(new nn.MaxPool2d(kernelSize, options), golden);
  });

  it.each(loadCases<nn.AvgPool2dOptions & { kernelSize: [number, number] }>('pool', 'avgPool2d'))('$name', (golden) => {
    const { kernelSize, divisorOverride, ...options } = golden.config;
    check(new nn.AvgPool2d(kernelSize, { ...options, divisorOverride: divisorOverride ?? undefined }), golden);
  });

  it.each(loadCases<{ outputSize: [number, number] }>('pool', 'adaptiveAvgPool2d'))('$name', (golden) => {
    check(new nn.AdaptiveAvgPool2d(golden.config.outputSize), golden);
  });

  it.each(loadCases<{ outputSize: [number, number] }>('pool', 'adaptiveMaxPool2d'))('$name', (golden) => {
    check(new nn.AdaptiveMaxPool2d(golden.config.outputSize), golden);
  });

  it.each(loadCases<{ groups: number; eps: number; affine: boolean }>('norm', 'groupNorm'))('$name', (golden) => {
    const { groups, ...options } = golden.config;
    check(new nn.GroupNorm(groups, golden.inputs['input']!.shape.at(-1)!, options), golden);
  });

  it.each(loadCases<{ normalizedShape: number[]; eps: number; affine: boolean }>('norm', 'layerNorm'))(
    '$name',
    (golden) => {
      const { normalizedShape, eps, affine } = golden.config;
      check(new nn.LayerNorm(normalizedShape, { eps, elementwiseAffine: affine }), golden);
    },
  );

  it.each(loadCases<nn.BatchNorm2dOptions & { training: boolean }>('norm', 'batchNorm2d'))('$name', (golden) => {
    const { training, ...options } = golden.config;
    const layer = new nn.BatchNorm2d(golden.inputs['runningMean']!.shape[0]!, options).train(training);
    load(layer, golden);
    for (let step = 0; `input${step}` in golden.inputs; step++) {
      const x = asTensor(golden.inputs[`input${step}`]!);
      x.requiresGrad = true;
      const y: Tensor = layer(x);
      expectClose(y, golden.outputs[`output${step}`]!.data, { absolute: 1e-5 });
      y.backward({ gradient: asTensor(golden.upstream[`output${step}`]!) });
      expectClose(x.grad!, golden.grads[`input${step}`]!.data, { absolute: 1e-5 });
    }
    for (const [name, parameter] of layer.namedParameters()) {
      expectClose(parameter.grad!, golden.grads[name]!.data, { absolute: 1e-5 });
    }
    if (training) {
      expectClose(layer.runningMean!, golden.outputs['runningMean']!.data);
      expectClose(layer.runningVar!, golden.outputs['runningVar']!.data);
    }
  });

  const activations: Record<string, (config: Record<string, never>) => nn.Module> = {
    relu: () => new nn.ReLU(),
    relu6: () => new nn.ReLU6(),
    leakyRelu: ({ negativeSlope }) => new nn.LeakyReLU(negativeSlope),
    sigmoid: () => new nn.Sigmoid(),
    tanh: () => new nn.Tanh(),
    silu: () => new nn.SiLU(),
    hardSilu: () => new nn.Hardswish(),
    hardSigmoid: () => new nn.Hardsigmoid(),
    gelu: ({ approximate }) => new nn.GELU({ approximate: approximate === 'tanh' }),
    softplus: () => new nn.Softplus(),
    elu: ({ alpha }) => new nn.ELU(alpha),
    softmax: ({ axis }) => new nn.Softmax(axis),
    logSoftmax: ({ axis }) => new nn.LogSoftmax(axis),
  };
  it.each(loadCases('activation'))('$name', (golden) => {
    check(activations[golden.op]!(golden.config as Record<string, never>), golden);
  });
});
