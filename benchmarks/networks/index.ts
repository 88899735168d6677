import type { nn } from '../../lib';
import { kerasCnn, SimpleCNN } from '../../lib/bench/networks';
import { EfficientNetB0 } from './efficientnet';
import { MobileNetV2 } from './mobilenet';
import { resnet18, resnet18Cifar, resnet50 } from './resnet';
import { VGG16, VGG16WithHead } from './vgg';

export interface Network {
  make(): nn.Module;
  /**
   * The weight of the dense layer behind the flattened image, and that image's shape [H, W, C]: PyTorch flattens it in
   * the order C, H, W.
   */
  flattened?: readonly [weight: string, shape: readonly [number, number, number]];
}

/** The networks that benchmarks compare, by the names that all peers know. */
export const networks = {
  'Keras CNN': { make: kerasCnn, flattened: ['dense.weight', [6, 6, 64]] },
  SimpleCNN: { make: () => new SimpleCNN(), flattened: ['fc1.weight', [6, 6, 64]] },
  VGG16: { make: () => new VGG16(), flattened: ['classifier.0.weight', [7, 7, 512]] },
  'VGG16 with a head': { make: () => new VGG16WithHead(), flattened: ['head.0.weight', [7, 7, 512]] },
  'ResNet-18': { make: resnet18 },
  'ResNet-50': { make: resnet50 },
  'ResNet-18 for CIFAR': { make: resnet18Cifar },
  'EfficientNet-B0': { make: () => new EfficientNetB0() },
  MobileNetV2: { make: () => new MobileNetV2() },
} satisfies Record<string, Network>;

export type NetworkName = keyof typeof networks;
