/** A program for checkpoint.test.ts to kill: saves a model again and again, each time with all weights one higher. */
import { full, layers, nn } from '../../lib';

const [, , path = ''] = process.argv;

async function main(): Promise<void> {
  const model = new nn.Sequential([layers.dense({ units: 500, inputShape: [500] }), layers.dense({ units: 10 })]);
  for (let generation = 1; ; generation++) {
    for (const parameter of model.parameters()) {
      using values = full(parameter.shape, generation);
      parameter.assign(values);
    }
    await model.save(path);
    if (generation === 1) process.stdout.write('saved once\n');
  }
}

void main();
