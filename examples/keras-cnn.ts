/**
 * The CNN of the Keras tutorials, layer by layer, on CIFAR-10:
 *
 *     npx tsx examples/keras-cnn.ts --data cifar-10-batches-bin
 *
 * README.md says how to get CIFAR-10.
 */
import { parseArgs } from 'node:util';
import { data, layers, Sequential, setSeed } from 'convgrad';

const { values: options } = parseArgs({
  options: {
    data: { type: 'string', default: 'cifar-10-batches-bin' },
    epochs: { type: 'string', default: '10' },
    limit: { type: 'string' }, // train on the first so many images only
    seed: { type: 'string', default: '1' },
  },
});

async function main(): Promise<void> {
  setSeed(Number(options.seed));
  const limit = options.limit === undefined ? undefined : Number(options.limit);
  const train = await data.cifar10(options.data, { limit });
  const test = await data.cifar10(options.data, { split: 'test' });

  const model = new Sequential([
    layers.conv2d({ filters: 32, kernelSize: 3, activation: 'relu', inputShape: [32, 32, 3] }),
    layers.maxPooling2d({ poolSize: 2 }),
    layers.conv2d({ filters: 64, kernelSize: 3, activation: 'relu' }),
    layers.maxPooling2d({ poolSize: 2 }),
    layers.flatten(),
    layers.dense({ units: 64, activation: 'relu' }),
    layers.dense({ units: 10, activation: 'softmax' }),
  ]);
  console.log(model.summary());
  model.compile({ optimizer: 'adam', loss: 'sparseCategoricalCrossentropy', metrics: ['accuracy'] });

  // Batches are float32 from 0 to 1.
  await model.fit(train.batches({ batchSize: 32 }), { epochs: Number(options.epochs) });
  const { accuracy } = await model.evaluate(test.batches({ shuffle: false }));
  console.log(`test accuracy: ${(100 * accuracy!).toFixed(1)} %`);
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
