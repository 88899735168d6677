/**
 * How long training keeps the event loop: the longest block over an epoch of the Keras CNN.
 *
 *     npx tsx benchmarks/eventLoop.ts [--samples 4096] [--batch-size 32]
 */
import { parseArgs } from 'node:util';
import { layers, nn, setSeed } from '../lib';

/** The longest times between two turns of the event loop, in milliseconds. */
export interface Blocks {
  longest: number;
  /** The time that 99 of 100 turns stay below. */
  p99: number;
  turns: number;
}

/** Watches the event loop with a timer of one millisecond while `body` runs. */
export async function measureBlocks(body: () => Promise<unknown>): Promise<Blocks> {
  const gaps: number[] = [];
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    gaps.push(now - last);
    last = now;
  }, 1);
  try {
    await body();
  } finally {
    clearInterval(timer);
  }
  gaps.push(performance.now() - last); // a block at the end that no timer saw
  gaps.sort((a, b) => a - b);
  return { longest: gaps.at(-1)!, p99: gaps[Math.floor(gaps.length * 0.99)]!, turns: gaps.length };
}

/** The CNN of Keras's tutorials: 167,562 parameters on 32×32×3. */
export function kerasCnn(): nn.Sequential {
  return new nn.Sequential([
    layers.conv2d({ filters: 32, kernelSize: 3, activation: 'relu', inputShape: [32, 32, 3] }),
    layers.maxPooling2d({ poolSize: 2 }),
    layers.conv2d({ filters: 64, kernelSize: 3, activation: 'relu' }),
    layers.maxPooling2d({ poolSize: 2 }),
    layers.flatten(),
    layers.dense({ units: 64, activation: 'relu' }),
    layers.dense({ units: 10, activation: 'softmax' }),
  ]).compile({ optimizer: 'adam', loss: 'sparseCategoricalCrossentropy', metrics: ['accuracy'] });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { samples: { type: 'string', default: '4096' }, 'batch-size': { type: 'string', default: '32' } },
  });
  const [samples, batchSize] = [Number(values.samples), Number(values['batch-size'])];
  setSeed(0);
  const images = {
    data: new Float32Array(samples * 32 * 32 * 3).map(() => Math.random()),
    shape: [samples, 32, 32, 3],
  };
  const labels = new Int32Array(samples).map(() => Math.floor(Math.random() * 10));
  const model = kerasCnn();
  const options = { batchSize, verbose: 0 } as const;
  await model.fit(
    { data: images.data.subarray(0, 64 * 3072), shape: [64, 32, 32, 3] },
    labels.subarray(0, 64),
    options,
  );
  const began = performance.now();
  const { longest, p99, turns } = await measureBlocks(() => model.fit(images, labels, options));
  const rate = samples / ((performance.now() - began) / 1000);
  console.log(`Keras CNN, batch ${batchSize}: ${rate.toFixed(0)} images/s`);
  console.log(`longest block ${longest.toFixed(1)} ms, 99 % below ${p99.toFixed(1)} ms, ${turns} turns`);
}

if (require.main === module) void main();
