import { add, nn, type Tensor } from '../../lib';

/** Convolution, batch norm, ReLU6. */
function convolution(inputs: number, outputs: number, kernelSize: number, stride = 1, groups = 1): nn.Sequential {
  const padding = (kernelSize - 1) / 2;
  return new nn.Sequential(
    new nn.Conv2d(inputs, outputs, { kernelSize, stride, padding, groups, bias: false }),
    new nn.BatchNorm2d(outputs),
    new nn.ReLU6(),
  );
}

class InvertedResidual extends nn.Module {
  conv: nn.Sequential;
  readonly #isResidual: boolean;

  constructor(inputs: number, outputs: number, stride: number, expansion: number) {
    super();
    const width = inputs * expansion;
    this.conv = new nn.Sequential(
      ...(expansion === 1 ? [] : [convolution(inputs, width, 1)]),
      convolution(width, width, 3, stride, width),
      new nn.Conv2d(width, outputs, { kernelSize: 1, bias: false }),
      new nn.BatchNorm2d(outputs),
    );
    this.#isResidual = stride === 1 && inputs === outputs;
  }

  forward(x: Tensor): Tensor {
    const y = this.conv(x);
    return this.#isResidual ? add(x, y) : y;
  }
}

/** Table 2 of the paper: expansion, channels, blocks, stride of the first block. */
const STAGES = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

/** MobileNetV2 (Sandler et al., 2018), named as in torchvision. [N, 224, 224, 3] → [N, 1000]. */
export class MobileNetV2 extends nn.Module {
  features: nn.Sequential;
  avgpool = new nn.GlobalAvgPool2d();
  classifier = new nn.Sequential(new nn.Dropout(0.2), new nn.Linear(1280, 1000));

  constructor() {
    super();
    this.features = new nn.Sequential(convolution(3, 32, 3, 2));
    let inputs = 32;
    for (const [expansion, outputs, blocks, stride] of STAGES) {
      for (let i = 0; i < blocks; i++) {
        this.features.add(new InvertedResidual(inputs, outputs, i === 0 ? stride : 1, expansion));
        inputs = outputs;
      }
    }
    this.features.add(convolution(inputs, 1280, 1));
  }

  forward(x: Tensor): Tensor {
    return this.classifier(this.avgpool(this.features(x)));
  }
}
