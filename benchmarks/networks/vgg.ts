import { nn, type Tensor } from '../../lib';

const WIDTHS = [64, 64, 'pool', 128, 128, 'pool', 256, 256, 256, 'pool', 512, 512, 512, 'pool', 512, 512, 512, 'pool'];

/** The convolutions of VGG16 (Simonyan and Zisserman, 2015), named as in torchvision. [N, 224, 224, 3] → [N, 7, 7, 512]. */
function vgg16Features(): nn.Sequential {
  const features = new nn.Sequential();
  let channels = 3;
  for (const width of WIDTHS) {
    if (typeof width === 'string') features.push(new nn.MaxPool2d(2));
    else {
      features.push(new nn.Conv2d(channels, width, { kernelSize: 3, padding: 1 }), new nn.ReLU());
      channels = width;
    }
  }
  return features;
}

export class VGG16 extends nn.Module {
  features = vgg16Features();
  avgpool = new nn.AdaptiveAvgPool2d(7);
  classifier = new nn.Sequential(
    new nn.Linear(512 * 7 * 7, 4096),
    new nn.ReLU(),
    new nn.Dropout(),
    new nn.Linear(4096, 4096),
    new nn.ReLU(),
    new nn.Dropout(),
    new nn.Linear(4096, 1000),
  );

  forward(x: Tensor): Tensor {
    return this.classifier(nn.functional.flatten(this.avgpool(this.features(x))));
  }
}

/** A new head on the frozen convolutions of VGG16, as one learns from few images. [N, 224, 224, 3] → [N, 10]. */
export class VGG16WithHead extends nn.Module {
  features = vgg16Features();
  head = new nn.Sequential(new nn.Linear(512 * 7 * 7, 256), new nn.ReLU(), new nn.Linear(256, 10));

  constructor() {
    super();
    this.features.trainable = false;
  }

  forward(x: Tensor): Tensor {
    return this.head(nn.functional.flatten(this.features(x)));
  }
}
