/**
 * The twin of keras-cnn.ts in PyTorch's style, on images of 28×28 cut from the middle of CIFAR-10's:
 *
 *     npx tsx examples/simple-cnn.ts --data cifar-10-batches-bin
 *     npx tsx examples/simple-cnn.ts --data cifar-10-batches-bin --size 32     (an error: fc1 does not fit)
 */
import { parseArgs } from 'node:util';
import { data, nn, Trainer, relu, setSeed, softmax, type Tensor } from 'convgrad';

const { values: options } = parseArgs({
  options: {
    data: { type: 'string', default: 'cifar-10-batches-bin' },
    epochs: { type: 'string', default: '10' },
    size: { type: 'string', default: '28' },
    limit: { type: 'string' }, // train on the first so many images only
    seed: { type: 'string', default: '1' },
  },
});

class SimpleCNN extends nn.Module {
  conv1 = new nn.Conv2d(3, 32, { kernelSize: 3, padding: 1 });
  pool = new nn.MaxPool2d(2);
  conv2 = new nn.Conv2d(32, 64, { kernelSize: 3 });
  fc1 = new nn.Linear(64 * 6 * 6, 64);
  fc2 = new nn.Linear(64, 10);

  forward(input: Tensor): Tensor {
    let x = this.pool(relu(this.conv1(input)));
    x = this.pool(relu(this.conv2(x)));
    x = x.view(-1, 64 * 6 * 6);
    x = relu(this.fc1(x));
    return softmax(this.fc2(x));
  }
}

async function main(): Promise<void> {
  setSeed(Number(options.seed));
  const limit = options.limit === undefined ? undefined : Number(options.limit);
  const train = await data.cifar10(options.data, { limit });
  const test = await data.cifar10(options.data, { split: 'test' });
  const transform = data.centerCrop(Number(options.size));

  const model = new SimpleCNN();
  console.log(String(model));
  const trainer = new Trainer(model, {
    optimizer: 'adam',
    loss: 'sparseCategoricalCrossentropy',
    metrics: ['accuracy'],
  });
  await trainer.fit(train.batches({ batchSize: 32, transform }), { epochs: Number(options.epochs) });
  const { accuracy } = await trainer.evaluate(test.batches({ transform, shuffle: false }));
  console.log(`test accuracy: ${(100 * accuracy!).toFixed(1)} %`);
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
