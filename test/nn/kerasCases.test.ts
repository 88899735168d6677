import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { layers, tensor, tidy, type nn, type Tensor } from '../../lib';
import { expectClose } from '../support/compare';
import { describeWithData } from '../support/sharedData';

interface Data {
  shape: number[];
  data: number[];
}

interface KerasCase {
  name: string;
  layer: keyof typeof factories;
  config: Record<string, unknown>;
  inputs: Data[];
  weights: Data[];
  expected: Data;
}

const factories = {
  Conv2D: layers.conv2d,
  Conv2DTranspose: layers.conv2dTranspose,
  SeparableConv2D: layers.separableConv2d,
  Cropping2D: layers.cropping2d,
  UpSampling2D: layers.upSampling2d,
  ZeroPadding2D: layers.zeroPadding2d,
  Dense: layers.dense,
  BatchNormalization: layers.batchNormalization,
  AveragePooling2D: layers.averagePooling2d,
  MaxPooling2D: layers.maxPooling2d,
  GlobalAveragePooling2D: layers.globalAveragePooling2d,
  GlobalMaxPooling2D: layers.globalMaxPooling2d,
};

/** Keras's snake_case options as ours. `gpu` says where the case's author ran it. */
function options({ gpu: _, ...config }: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [key.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase()), value]),
  );
}

/** Keras lists gamma and beta, then mean and variance; the order in which we define them. */
function loadWeights(layer: nn.Module, weights: Data[]): void {
  const own = [...layer.stateDict().values()];
  expect(own.map(({ shape }) => shape)).toEqual(weights.map(({ shape }) => shape));
  weights.forEach(({ data, shape }, i) => tidy(() => (own[i] as Tensor).assign(tensor(data, shape))));
}

describeWithData('layer cases that Keras computed', 'keras-layers/cases.json', (path) => {
  const cases = JSON.parse(readFileSync(path, 'utf8')) as KerasCase[];

  it('are all here', () => expect(cases).toHaveLength(87));

  it.each(cases)('$name', ({ layer: type, config, inputs, weights, expected }) => {
    const { shape, data } = inputs[0]!;
    const layer = (factories[type] as (options: object) => nn.Module)({ ...options(config), inputShape: shape });
    layer.build(shape).eval();
    loadWeights(layer, weights);
    const y: Tensor = layer(tensor(data, [1, ...shape]));
    expect(y.shape).toEqual([1, ...expected.shape]);
    expect(layer.outputShape(shape)).toEqual(expected.shape);
    expectClose(y, expected.data, { relative: 0, absolute: 1e-5 });
    layer.dispose();
  });
});
