import { add, dropout, mul, nn, sigmoid, silu, type Tensor } from '../../lib';

/** Convolution, batch norm, SiLU. */
function convolution(inputs: number, outputs: number, kernelSize: number, stride = 1, groups = 1): nn.Sequential {
  return new nn.Sequential(...projection(inputs, outputs, kernelSize, stride, groups), new nn.SiLU());
}

function projection(inputs: number, outputs: number, kernelSize = 1, stride = 1, groups = 1): nn.Module[] {
  const padding = (kernelSize - 1) / 2;
  return [
    new nn.Conv2d(inputs, outputs, { kernelSize, stride, padding, groups, bias: false }),
    new nn.BatchNorm2d(outputs),
  ];
}

/** Scales the channels of an image by what a small network makes of their averages (Hu et al., 2018). */
class SqueezeExcitation extends nn.Module {
  avgpool = new nn.AdaptiveAvgPool2d(1);
  fc1: nn.Conv2d;
  fc2: nn.Conv2d;

  constructor(channels: number, squeezed: number) {
    super();
    this.fc1 = new nn.Conv2d(channels, squeezed, { kernelSize: 1 });
    this.fc2 = new nn.Conv2d(squeezed, channels, { kernelSize: 1 });
  }

  forward(x: Tensor): Tensor {
    return mul(x, sigmoid(this.fc2(silu(this.fc1(this.avgpool(x))))));
  }
}

class MBConv extends nn.Module {
  block: nn.Sequential;
  readonly #isResidual: boolean;

  constructor(
    inputs: number,
    outputs: number,
    kernelSize: number,
    stride: number,
    expansion: number,
    readonly dropRate: number,
  ) {
    super();
    const width = inputs * expansion;
    this.block = new nn.Sequential(
      ...(expansion === 1 ? [] : [convolution(inputs, width, 1)]),
      convolution(width, width, kernelSize, stride, width),
      new SqueezeExcitation(width, Math.max(1, Math.floor(inputs / 4))),
      new nn.Sequential(...projection(width, outputs)),
    );
    this.#isResidual = stride === 1 && inputs === outputs;
  }

  forward(x: Tensor): Tensor {
    const y = this.block(x);
    if (!this.#isResidual) return y;
    // Stochastic depth: in training, whole images skip the block.
    return add(dropout(y, this.dropRate, { training: this.training, noiseShape: [y.shape[0]!, 1, 1, 1] }), x);
  }
}

/** Table 1 of the paper: expansion, kernel size, stride of the first block, channels, blocks. */
const STAGES = [
  [1, 3, 1, 16, 1],
  [6, 3, 2, 24, 2],
  [6, 5, 2, 40, 2],
  [6, 3, 2, 80, 3],
  [6, 5, 1, 112, 3],
  [6, 5, 2, 192, 4],
  [6, 3, 1, 320, 1],
] as const;

/** EfficientNet-B0 (Tan and Le, 2019), named as in torchvision. [N, 224, 224, 3] → [N, 1000]. */
export class EfficientNetB0 extends nn.Module {
  features: nn.Sequential;
  avgpool = new nn.GlobalAvgPool2d();
  classifier = new nn.Sequential(new nn.Dropout(0.2), new nn.Linear(1280, 1000));

  constructor() {
    super();
    this.features = new nn.Sequential(convolution(3, 32, 3, 2));
    const total = STAGES.reduce((sum, stage) => sum + stage[4], 0);
    let inputs = 32;
    let count = 0;
    for (const [expansion, kernelSize, stride, outputs, blocks] of STAGES) {
      const stage = new nn.Sequential();
      for (let i = 0; i < blocks; i++) {
        const dropRate = (0.2 * count++) / total;
        stage.add(new MBConv(inputs, outputs, kernelSize, i === 0 ? stride : 1, expansion, dropRate));
        inputs = outputs;
      }
      this.features.add(stage);
    }
    this.features.add(convolution(inputs, 1280, 1));
  }

  forward(x: Tensor): Tensor {
    return this.classifier(this.avgpool(this.features(x)));
  }
}
