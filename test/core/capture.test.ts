import { afterEach, describe, expect, it } from 'vitest';
import {
  add,
  capture,
  crossEntropy,
  layers,
  memory,
  mul,
  nn,
  noGrad,
  ones,
  optim,
  randomInt,
  randomUniform,
  relu,
  scalar,
  Sequential,
  setSeed,
  setThreads,
  deviceInfo,
  sum,
  synchronize,
  tensor,
  tidy,
  zeros,
  type Tensor,
} from '../../lib';

const threads = deviceInfo().threads;
afterEach(() => setThreads(threads));

function network(): Sequential {
  return new Sequential([
    layers.conv2d({ filters: 8, kernelSize: 3, inputShape: [12, 12, 3] }),
    layers.batchNormalization(),
    layers.activation({ activation: 'relu' }),
    layers.maxPooling2d(),
    layers.flatten(),
    layers.dropout({ rate: 0.3 }),
    layers.dense({ units: 5 }),
  ]);
}

interface Training {
  model: Sequential;
  optimizer: optim.Adam;
  step: (x: Tensor, labels: Tensor<'int32'>) => Tensor;
  dispose(): void;
}

/** A training step written by hand. */
function training(clearsFirst = false): Training {
  setSeed(7);
  const model = network();
  const optimizer = new optim.Adam(model.namedParameters(), { lr: 0.01, weightDecay: 0.01 });
  return {
    model,
    optimizer,
    step(x, labels) {
      if (clearsFirst) optimizer.zeroGrad();
      const loss = crossEntropy(model(x) as Tensor, labels);
      loss.backward();
      optim.clipGradNorm(model.parameters(), 0.5);
      optimizer.step();
      if (!clearsFirst) optimizer.zeroGrad();
      return loss;
    },
    dispose() {
      optimizer.zeroGrad();
      model.dispose();
      optimizer.dispose();
    },
  };
}

/** Losses of `steps` steps, batches of 8 and now and then of 3, and all state at the end. */
async function trajectory(
  { model, optimizer }: Training,
  step: (x: Tensor, labels: Tensor<'int32'>) => Tensor,
  steps = 12,
): Promise<Map<string, number[]>> {
  const result = new Map<string, number[]>();
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) {
    const size = i % 4 === 3 ? 3 : 8;
    const [x, labels] = [randomUniform([size, 12, 12, 3]), randomInt([size], 0, 5)];
    if (i === 6) optimizer.lr = 0.002;
    const loss = tidy(() => step(x, labels).detach());
    losses.push((await loss.data())[0]!);
    for (const used of [x, labels, loss]) used.dispose();
  }
  result.set('losses', losses);
  for (const [name, value] of [...model.stateDict(), ...optimizer.stateDict()]) {
    result.set(name, Array.from(await value.data()));
  }
  return result;
}

describe('a captured training step', () => {
  it.each([false, true])('computes what it computes uncaptured, bit for bit (clears gradients first: %s)', async (first) => {
    const eager = training(first);
    const wanted = await trajectory(eager, eager.step);
    eager.dispose();
    const captured = training(first);
    using plan = capture(captured.step);
    const found = await trajectory(captured, (x, labels) => plan.run(x, labels));
    captured.dispose();
    expect(plan.bytes).toBeGreaterThan(0);
    expect(found).toEqual(wanted);
    expect(found.get('losses')!.every(Number.isFinite)).toBe(true);
  });
});
