// The problems that tests run. Layers of networks that benchmarks measure come from there, scaled down.
import { convLayers } from '../lib/bench/problems';
import type { Padding2d } from '../lib/ops/window';

/** A convolution of images [n, h, w, c] with `k` kernels of r × s. */
export interface ConvProblem {
  name: string;
  n: number;
  h: number;
  w: number;
  c: number;
  k: number;
  r: number;
  s: number;
  stride: [number, number];
  padding: Padding2d;
  dilation: [number, number];
  groups: number;
}

type Sides = [[number, number], [number, number]];

interface ConvOptions {
  n?: number;
  stride?: number | [number, number];
  padding?: 'valid' | 'same' | number | Sides;
  dilation?: number | [number, number];
  groups?: number;
}

const pair = (value: number | [number, number]): [number, number] =>
  typeof value === 'number' ? [value, value] : value;

function conv(
  name: string,
  [h, w, c]: [number, number, number],
  k: number,
  [r, s]: [number, number],
  { n = 1, stride = 1, padding = 'valid', dilation = 1, groups = 1 }: ConvOptions = {},
): ConvProblem {
  return { name, n, h, w, c, k, r, s, stride: pair(stride), padding, dilation: pair(dilation), groups };
}

/** Shapes that go wrong first: ones, odd sizes, edges of tiles, everything that a window can be. */
export const oddConvs: ConvProblem[] = [
  conv('one of everything', [1, 1, 1], 1, [1, 1]),
  conv('one pixel, many channels', [1, 1, 67], 35, [1, 1], { n: 3 }),
  conv('kernel as large as the image', [5, 7, 3], 4, [5, 7], { n: 2 }),
  conv('kernel larger than the image', [2, 3, 4], 5, [5, 5], { padding: 2 }),
  conv('one row', [1, 13, 5], 9, [1, 3], { n: 2 }),
  conv('one column', [13, 1, 5], 9, [3, 1], {
    n: 2,
    padding: [
      [1, 1],
      [0, 0],
    ],
  }),
  conv('1x1', [7, 5, 17], 33, [1, 1], { n: 2 }),
  conv('1x1, stride 2', [8, 7, 6], 10, [1, 1], { n: 2, stride: 2 }),
  conv('2x2, same', [6, 5, 3], 8, [2, 2], { n: 2, padding: 'same' }),
  conv('3x3', [9, 11, 8], 16, [3, 3], { n: 2 }),
  conv('3x3, same', [9, 11, 7], 17, [3, 3], { n: 2, padding: 'same' }),
  conv('3x3, same, stride 2, even', [8, 10, 5], 12, [3, 3], { n: 2, padding: 'same', stride: 2 }),
  conv('3x3, same, stride 3', [11, 10, 5], 3, [3, 3], { n: 2, padding: 'same', stride: 3 }),
  conv('3x3, stride 3x1', [11, 10, 5], 3, [3, 3], { n: 2, stride: [3, 1] }),
  conv('3x3, stride 1x2, dilation 2x1', [12, 9, 4], 6, [3, 3], { stride: [1, 2], dilation: [2, 1] }),
  conv('3x3, dilation 2, same', [9, 9, 6], 11, [3, 3], { n: 2, padding: 'same', dilation: 2 }),
  conv('3x3, dilation 3, stride 2', [15, 14, 3], 5, [3, 3], { n: 2, dilation: 3, stride: 2, padding: 3 }),
  conv('stride 4 over dilation 2', [17, 16, 3], 5, [3, 2], {
    stride: 4,
    dilation: 2,
    padding: [
      [0, 3],
      [2, 1],
    ],
  }),
  conv('stride larger than the kernel', [13, 14, 3], 5, [2, 2], { n: 2, stride: 5 }),
  conv('asymmetric padding', [6, 7, 3], 9, [3, 4], {
    n: 2,
    padding: [
      [2, 0],
      [1, 3],
    ],
  }),
  conv('padding wider than the kernel', [3, 4, 2], 3, [2, 2], { padding: 4 }),
  conv('5x3, one channel', [10, 9, 1], 6, [5, 3], { n: 3, padding: 'same' }),
  conv('3x3, one channel, dilation 2', [10, 9, 1], 6, [3, 3], { n: 2, dilation: 2 }),
  conv('3x3, three channels, vertical padding', [8, 9, 3], 10, [3, 3], {
    n: 2,
    padding: [
      [1, 1],
      [0, 0],
    ],
  }),
  conv('3x3, four channels, same', [8, 9, 4], 40, [3, 3], { n: 2, padding: 'same' }),
  conv('3x3, one output channel', [8, 9, 20], 1, [3, 3], { padding: 'same' }),
  conv('deep', [4, 5, 300], 21, [3, 3], { padding: 'same' }),
  conv('deeper than a block', [3, 3, 530], 9, [1, 1]),
  conv('wider than a block', [2, 600, 2], 5, [2, 3], { padding: 'same' }),
  conv('many pixels', [31, 29, 16], 64, [3, 3], { n: 3, padding: 'same' }),
  conv('two groups', [7, 6, 6], 10, [3, 3], { n: 2, groups: 2, padding: 'same' }),
  conv('groups, stride 2', [9, 8, 12], 24, [3, 3], { n: 2, groups: 3, stride: 2, padding: 1 }),
  conv('groups of one output', [6, 7, 6], 3, [3, 3], { groups: 3 }),
];

/** What the tiles and blocks of Winograd convolution can be. */
export const winogradConvs: ConvProblem[] = [
  conv('3x3, one output pixel', [3, 3, 5], 7, [3, 3]),
  conv('3x3, one pixel', [1, 1, 3], 17, [3, 3], { n: 2, padding: 1 }),
  conv('3x3, one channel', [6, 9, 1], 1, [3, 3], { n: 2, padding: 'same' }),
  conv('3x3, whole tiles and vectors', [8, 12, 32], 64, [3, 3], { n: 2, padding: 'same' }),
  conv('3x3, asymmetric padding', [6, 7, 17], 3, [3, 3], {
    n: 2,
    padding: [
      [0, 2],
      [3, 1],
    ],
  }),
  conv('3x3, padding wider than the kernel', [4, 5, 3], 17, [3, 3], { n: 2, padding: 4 }),
  conv('3x3, many tiles', [80, 83, 3], 5, [3, 3], { padding: 'same' }),
  conv('3x3, many channels', [5, 6, 70], 290, [3, 3], { padding: 'same' }),
];

/** Every input channel a group of its own. */
export const depthwiseConvs: ConvProblem[] = [
  conv('depthwise, one channel', [6, 5, 1], 1, [3, 3], { groups: 1, padding: 'same' }),
  conv('depthwise 3x3', [9, 8, 19], 19, [3, 3], { n: 2, groups: 19, padding: 'same' }),
  conv('depthwise 3x3, stride 2', [9, 10, 32], 32, [3, 3], { n: 2, groups: 32, padding: 'same', stride: 2 }),
  conv('depthwise 5x5, stride 2', [11, 10, 24], 24, [5, 5], {
    groups: 24,
    padding: [
      [1, 2],
      [2, 1],
    ],
    stride: 2,
  }),
  conv('depthwise 7x7', [9, 9, 7], 7, [7, 7], { n: 2, groups: 7, padding: 3 }),
  conv('depthwise, dilation 2', [9, 12, 9], 9, [3, 3], { n: 2, groups: 9, dilation: 2, padding: 'same' }),
  conv('depthwise, stride 3, dilation 2', [13, 12, 5], 5, [2, 3], { groups: 5, stride: 3, dilation: 2, padding: 1 }),
  conv('depthwise, multiplier 2', [8, 7, 5], 10, [3, 3], { n: 2, groups: 5, padding: 'same' }),
  conv('depthwise, multiplier 3, stride 2', [8, 9, 3], 9, [3, 3], { n: 2, groups: 3, stride: 2 }),
  // Tiles of seven pixels: fewer, one over, one short, several; channels around the length of a vector and of a chunk.
  ...[
    [7, 17, 3, 1],
    [15, 33, 3, 1],
    [21, 3, 3, 2],
    [16, 130, 5, 1],
    [31, 16, 5, 2],
    [4, 150, 5, 1],
    [15, 1, 5, 2],
  ].map(([w, c, k, stride]) =>
    conv(`depthwise ${k}x${k}, stride ${stride}, ${c} channels, width ${w}`, [6, w!, c!], c!, [k!, k!], {
      n: 2,
      groups: c!,
      padding: 'same',
      stride: stride!,
    }),
  ),
  conv('depthwise 3x5, asymmetric padding', [7, 13, 17], 17, [3, 5], {
    n: 2,
    groups: 17,
    padding: [
      [2, 0],
      [1, 4],
    ],
  }),
  conv('depthwise, vertical stride and dilation', [20, 16, 18], 18, [3, 3], {
    groups: 18,
    stride: [3, 2],
    dilation: [2, 1],
    padding: 2,
  }),
  conv('depthwise, stride larger than the kernel', [17, 25, 9], 9, [2, 3], { n: 2, groups: 9, stride: 4 }),
  conv('depthwise, multiplier 3, width 15', [9, 15, 6], 18, [3, 3], { groups: 6, padding: 'same', stride: [1, 2] }),
  conv('depthwise, wide padding', [2, 3, 4], 4, [2, 2], { groups: 4, padding: 3 }),
];

const layers: ConvProblem[] = [
  ...convLayers.map(({ name, input: [n, h, w, c], weight: [r, s, , k], ...options }) =>
    conv(name, [h, w, c], k, [r, s], { n, ...options }),
  ),
  conv('SimpleCNN, conv 1', [32, 32, 3], 32, [3, 3], { n: 32, padding: 1 }),
  conv('VGG16, block 5', [14, 14, 512], 512, [3, 3], { padding: 'same' }),
  conv('ResNet-18, block 2', [28, 28, 128], 128, [3, 3], { padding: 1 }),
  conv('ResNet-18, block 4', [7, 7, 512], 512, [3, 3], { padding: 1 }),
  conv('ResNet-18, down to block 2', [56, 56, 64], 128, [3, 3], { padding: 1, stride: 2 }),
  conv('ResNet-50, expand', [14, 14, 256], 1024, [1, 1]),
  conv('ResNet-50, shortcut', [56, 56, 256], 512, [1, 1], { stride: 2 }),
  conv('ResNeXt-50, grouped', [28, 28, 256], 256, [3, 3], { padding: 1, groups: 32 }),
  conv('MobileNetV2, depthwise stride 2', [112, 112, 96], 96, [3, 3], { groups: 96, padding: 'same', stride: 2 }),
  conv('MobileNetV2, depthwise', [14, 14, 384], 384, [3, 3], { groups: 384, padding: 'same' }),
  conv('EfficientNet-B0, project', [14, 14, 480], 112, [1, 1]),
];

/** Layers of real networks with images and channels scaled down, so that a float64 reference is quick. */
export const smallNetworkConvs: ConvProblem[] = layers.map((layer) => {
  const channels = layer.groups > 1 ? layer.c / layer.groups : 1;
  const groups = Math.min(layer.groups, 21);
  const shrink = (count: number): number => (count <= 4 ? count : Math.ceil(count / 6) + 1);
  const c = layer.groups > 1 ? channels * groups : shrink(layer.c);
  return {
    ...layer,
    name: `${layer.name}, small`,
    n: Math.min(layer.n, 2),
    h: Math.min(layer.h, 15),
    w: Math.min(layer.w, 13),
    c,
    groups,
    k: layer.groups > 1 ? c : shrink(layer.k),
  };
});

/** A product of [m, k] and [k, n]. */
export interface MatmulProblem {
  name: string;
  m: number;
  k: number;
  n: number;
}

const product = (m: number, k: number, n: number, name = `${m}x${k}x${n}`): MatmulProblem => ({ name, m, k, n });

export const oddMatmuls: MatmulProblem[] = [
  product(1, 1, 1),
  product(1, 7, 1),
  product(1, 300, 37),
  product(37, 300, 1),
  product(2, 3, 5),
  product(5, 1, 9),
  product(6, 16, 16),
  product(7, 17, 33),
  product(13, 257, 8),
  product(31, 64, 10, 'classifier'),
  product(97, 65, 31),
  product(130, 513, 70),
  product(25, 1025, 130),
];
