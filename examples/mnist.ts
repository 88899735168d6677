/**
 * Handwritten digits: the Keras CNN's shape reaches 97 % in a few epochs.
 *
 *     npx tsx examples/mnist.ts --data mnist
 */
import { parseArgs } from 'node:util';
import { callbacks, data, layers, Sequential, setSeed } from 'convgrad';

const { values: options } = parseArgs({
  options: {
    data: { type: 'string', default: 'mnist' },
    epochs: { type: 'string', default: '12' },
    seed: { type: 'string', default: '1' },
  },
});

async function main(): Promise<void> {
  const began = performance.now();
  setSeed(Number(options.seed));
  const train = await data.mnist(options.data);
  const test = await data.mnist(options.data, { split: 'test' });

  const model = new Sequential([
    layers.conv2d({ filters: 32, kernelSize: 3, activation: 'relu', inputShape: [28, 28, 1] }),
    layers.maxPooling2d({ poolSize: 2 }),
    layers.conv2d({ filters: 64, kernelSize: 3, activation: 'relu' }),
    layers.maxPooling2d({ poolSize: 2 }),
    layers.flatten(),
    layers.dense({ units: 64, activation: 'relu' }),
    layers.dense({ units: 10, activation: 'softmax' }),
  ]);
  model.compile({ optimizer: 'adam', loss: 'sparseCategoricalCrossentropy', metrics: ['accuracy'] });

  const epochs = Number(options.epochs);
  // A few thousand digits are few: each is seen a little moved in every epoch, and the learning rate falls to 0.
  const transform = data.randomAffine({ shift: 0.06 });
  const decay = new callbacks.LearningRateScheduler((epoch) => 0.001 * (1 + Math.cos((Math.PI * epoch) / epochs)));
  await model.fit(train.batches({ batchSize: 32, transform }), { epochs, callbacks: [decay] });
  const { accuracy } = await model.evaluate(test.batches({ shuffle: false }));
  const seconds = (performance.now() - began) / 1000;
  console.log(`test accuracy: ${(100 * accuracy!).toFixed(1)} % after ${seconds.toFixed(1)} s`);
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
