import { add, nn, relu, type Tensor } from '../../lib';

const conv3x3 = (inputs: number, outputs: number, stride = 1): nn.Conv2d =>
  new nn.Conv2d(inputs, outputs, { kernelSize: 3, stride, padding: 1, bias: false });

const conv1x1 = (inputs: number, outputs: number, stride = 1): nn.Conv2d =>
  new nn.Conv2d(inputs, outputs, { kernelSize: 1, stride, bias: false });

/** What brings a block's input to the shape of its output; null where it has it. */
function shortcut(inputs: number, outputs: number, stride: number): nn.Sequential | null {
  if (stride === 1 && inputs === outputs) return null;
  return new nn.Sequential(conv1x1(inputs, outputs, stride), new nn.BatchNorm2d(outputs));
}

class BasicBlock extends nn.Module {
  static readonly expansion = 1;
  conv1: nn.Conv2d;
  bn1: nn.BatchNorm2d;
  conv2: nn.Conv2d;
  bn2: nn.BatchNorm2d;
  downsample: nn.Sequential | null;

  constructor(inputs: number, width: number, stride: number) {
    super();
    this.conv1 = conv3x3(inputs, width, stride);
    this.bn1 = new nn.BatchNorm2d(width);
    this.conv2 = conv3x3(width, width);
    this.bn2 = new nn.BatchNorm2d(width);
    this.downsample = shortcut(inputs, width, stride);
  }

  forward(x: Tensor): Tensor {
    let y = relu(this.bn1(this.conv1(x)));
    y = this.bn2(this.conv2(y));
    return relu(add(y, this.downsample ? this.downsample(x) : x));
  }
}

/** With the stride in the 3×3 convolution, as in torchvision. */
class Bottleneck extends nn.Module {
  static readonly expansion = 4;
  conv1: nn.Conv2d;
  bn1: nn.BatchNorm2d;
  conv2: nn.Conv2d;
  bn2: nn.BatchNorm2d;
  conv3: nn.Conv2d;
  bn3: nn.BatchNorm2d;
  downsample: nn.Sequential | null;

  constructor(inputs: number, width: number, stride: number) {
    super();
    const outputs = Bottleneck.expansion * width;
    this.conv1 = conv1x1(inputs, width);
    this.bn1 = new nn.BatchNorm2d(width);
    this.conv2 = conv3x3(width, width, stride);
    this.bn2 = new nn.BatchNorm2d(width);
    this.conv3 = conv1x1(width, outputs);
    this.bn3 = new nn.BatchNorm2d(outputs);
    this.downsample = shortcut(inputs, outputs, stride);
  }

  forward(x: Tensor): Tensor {
    let y = relu(this.bn1(this.conv1(x)));
    y = relu(this.bn2(this.conv2(y)));
    y = this.bn3(this.conv3(y));
    return relu(add(y, this.downsample ? this.downsample(x) : x));
  }
}

/** ResNet (He et al., 2016), named as in torchvision. [N, H, W, 3] → [N, classes]. */
export class ResNet extends nn.Module {
  conv1: nn.Conv2d;
  bn1 = new nn.BatchNorm2d(64);
  maxpool: nn.Module;
  layer1: nn.Sequential;
  layer2: nn.Sequential;
  layer3: nn.Sequential;
  layer4: nn.Sequential;
  avgpool = new nn.GlobalAvgPool2d();
  fc: nn.Linear;

  /** @param small whether images are those of CIFAR: a stem of 3×3 that keeps their size, and no pooling after it */
  constructor(
    Block: typeof BasicBlock | typeof Bottleneck,
    depths: readonly [number, number, number, number],
    { classes = 1000, small = false } = {},
  ) {
    super();
    this.conv1 = small ? conv3x3(3, 64) : new nn.Conv2d(3, 64, { kernelSize: 7, stride: 2, padding: 3, bias: false });
    this.maxpool = small ? new nn.Identity() : new nn.MaxPool2d(3, { stride: 2, padding: 1 });
    let inputs = 64;
    const layer = (width: number, depth: number, stride: number): nn.Sequential => {
      const blocks = Array.from({ length: depth }, (_, i) => {
        const block = new Block(inputs, width, i === 0 ? stride : 1);
        inputs = width * Block.expansion;
        return block;
      });
      return new nn.Sequential(...blocks);
    };
    this.layer1 = layer(64, depths[0], 1);
    this.layer2 = layer(128, depths[1], 2);
    this.layer3 = layer(256, depths[2], 2);
    this.layer4 = layer(512, depths[3], 2);
    this.fc = new nn.Linear(inputs, classes);
  }

  forward(x: Tensor): Tensor {
    x = this.maxpool(relu(this.bn1(this.conv1(x)))) as Tensor;
    x = this.layer4(this.layer3(this.layer2(this.layer1(x))));
    return this.fc(this.avgpool(x));
  }
}

export const resnet18 = (): ResNet => new ResNet(BasicBlock, [2, 2, 2, 2]);
export const resnet18Cifar = (): ResNet => new ResNet(BasicBlock, [2, 2, 2, 2], { classes: 10, small: true });
export const resnet50 = (): ResNet => new ResNet(Bottleneck, [3, 4, 6, 3]);
