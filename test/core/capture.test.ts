import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  add,
  capture,
  crossEntropy,
  defaultGenerator,
  deviceInfo,
  full,
  layers,
  matmul,
  memory,
  mul,
  noGrad,
  optim,
  randomInt,
  randomUniform,
  relu,
  resetPeakMemory,
  Sequential,
  setSeed,
  setThreads,
  sub,
  sum,
  synchronize,
  tensor,
  tidy,
  transpose,
  type Tensor,
} from '../../lib';
import { temporaryFolder } from '../support/files';
import { TestData } from '../support/random';

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
  it.each([false, true])(
    'computes what it computes uncaptured, bit for bit (clears gradients first: %s)',
    async (first) => {
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
    },
  );

  it('needs less memory than step by step', async () => {
    const { step, dispose } = training();
    const [x, labels] = [randomUniform([32, 12, 12, 3]), randomInt([32], 0, 5)];
    const peakOf = async (body: () => Tensor): Promise<number> => {
      body().dispose();
      await synchronize();
      const before = memory().bytes;
      resetPeakMemory();
      body().dispose();
      return memory().peakBytes - before;
    };
    const eager = await peakOf(() => tidy(() => step(x, labels)));
    using plan = capture(step);
    for (let i = 0; i < 3; i++) plan.run(x, labels).dispose();
    expect(plan.bytes).toBeLessThan(eager);
    expect(await peakOf(() => plan.run(x, labels))).toBeLessThan(eager);
    for (const used of [x, labels]) used.dispose();
    dispose();
  });

  it('leaves nothing behind in a thousand replays', async () => {
    const captured = training();
    const plan = capture(captured.step);
    const [x, labels] = [randomUniform([4, 12, 12, 3]), randomInt([4], 0, 5)];
    for (let i = 0; i < 4; i++) plan.run(x, labels).dispose();
    await synchronize();
    const { tensors, bytes, blocks } = memory();
    for (let i = 0; i < 1000; i++) plan.run(x, labels).dispose();
    await synchronize();
    expect(memory()).toMatchObject({ tensors, bytes, blocks });
    for (const used of [x, labels, plan]) used.dispose();
    captured.dispose();
  });

  it('may be disposed while replays are under way', async () => {
    const { step, dispose } = training();
    const [x, labels] = [randomUniform([32, 12, 12, 3]), randomInt([32], 0, 5)];
    const before = memory().blocks;
    const plan = capture(step);
    const losses = Array.from({ length: 8 }, () => plan.run(x, labels));
    plan.dispose();
    plan.dispose();
    const blocks = memory().blocks;
    expect(() => plan.run(x, labels)).toThrow(expect.objectContaining({ code: 'ERR_DISPOSED' }));
    for (const loss of losses) expect((await loss.data())[0]).toBeGreaterThan(0);
    for (const loss of losses) loss.dispose();
    expect(memory().blocks).toBe(blocks - losses.length);
    expect(memory().blocks).toBeGreaterThan(before); // the optimizer's state
    for (const used of [x, labels]) used.dispose();
    dispose();
  });
});

describe('a captured function', () => {
  const double = (x: Tensor): Tensor => mul(x, 2);

  it('gives new tensors with every call, in the structure that it returned', async () => {
    using plan = capture((x: Tensor) => ({ twice: double(x), rest: [relu(x), 'text', null] as const }));
    const results = [1, -2, 3, -4, 5].map((value) => {
      using x = tensor([value, -value]);
      return plan.run(x);
    });
    expect(plan.bytes).toBe(0); // nothing but inputs and results
    for (const [i, value] of [1, -2, 3, -4, 5].entries()) {
      const { twice, rest } = results[i]!;
      expect(await twice.array()).toEqual([2 * value, -2 * value]);
      expect(await rest[0].array()).toEqual([Math.max(value, 0), Math.max(-value, 0)]);
      expect(rest.slice(1)).toEqual(['text', null]);
      for (const used of [twice, rest[0]]) used.dispose();
    }
  });

  it('may return inputs, tensors from outside, and one tensor twice', async () => {
    using outside = tensor([7]);
    using plan = capture((x: Tensor) => {
      const y = add(x, outside);
      return [x, outside, y, y] as const;
    });
    for (let i = 0; i < 5; i++) {
      using x = tensor([i]);
      const results = plan.run(x);
      expect(await Promise.all(results.map((result) => result.array()))).toEqual([[i], [7], [i + 7], [i + 7]]);
      outside.assign(tidy(() => tensor([7])));
    }
  });

  it('sees tensors from outside as they are, packed weights too', async () => {
    using weight = tensor([1, 0, 0, 1], [2, 2]);
    // Packed are a tensor from outside, an input, and what the function makes itself, twice.
    using plan = capture((x: Tensor) => {
      const made = transpose(x, [1, 0]);
      return [matmul(x, weight), matmul(weight, x), add(matmul(x, made), matmul(weight, made))] as const;
    });
    const data = new TestData();
    for (let i = 0; i < 12; i++) {
      if (i % 3 === 0) tidy(() => weight.assign(data.tensor([2, 2])));
      using x = data.tensor([2, 2]);
      for (let again = 0; again < 2; again++) {
        const found = plan.run(x);
        const wanted = tidy(() => {
          const made = transpose(x, [1, 0]);
          return [matmul(x, weight), matmul(weight, x), add(matmul(x, made), matmul(weight, made))];
        });
        for (const [k, result] of found.entries())
          expect(await result.data(), `seed ${data.seed}`).toEqual(await wanted[k]!.data());
        for (const used of [...found, ...wanted]) used.dispose();
      }
    }
  });

  it('writes what it writes in place with every replay, and saved tensors know it', async () => {
    using counter = full([3], 0);
    using plan = capture((x: Tensor) => {
      counter.assign(add(counter, x));
      return sum(counter);
    });
    using one = tensor([1, 1, 1]);
    for (let i = 1; i <= 6; i++) {
      using total = plan.run(one);
      expect(await total.array()).toBe(3 * i);
    }
    counter.requiresGrad = true;
    tidy(() => {
      const loss = sum(mul(counter, counter));
      noGrad(() => plan.run(one));
      expect(() => loss.backward()).toThrow('was changed in place after the forward pass');
    });
    counter.requiresGrad = false;
  });

  it('draws new random numbers with every replay', async () => {
    using plan = capture((x: Tensor) => add(x, randomUniform([4])));
    using zero = full([4], 0);
    setSeed(11);
    const wanted = Array.from({ length: 6 }, () => tidy(() => randomUniform([4])));
    setSeed(11);
    for (const expected of wanted) {
      using found = plan.run(zero);
      expect(await found.data()).toEqual(await expected.data());
      expected.dispose();
    }
  });

  it('keeps what it makes from arrays', async () => {
    using plan = capture((x: Tensor) => mul(add(x, tensor([1, 2, 3])), tensor([2, 2, 2])));
    for (let i = 0; i < 20; i++) {
      using x = full([3], i);
      using y = plan.run(x);
      expect(await y.array()).toEqual([2 * i + 2, 2 * i + 4, 2 * i + 6]);
      using upload = randomUniform([3]); // takes free memory
      expect(upload.size).toBe(3);
    }
  });

  it('is recorded for every shape that comes again, and again for another number of threads', async () => {
    using plan = capture((x: Tensor) => sum(relu(mul(x, x))));
    for (let i = 0; i < 30; i++) {
      setThreads(1 + (i >> 3));
      using x = full([1 + (i % 3), 5], i);
      using y = plan.run(x);
      expect(await y.array()).toBe((1 + (i % 3)) * 5 * i * i);
    }
  });

  it('is part of another one that calls it', async () => {
    using inner = capture(double);
    using outer = capture((x: Tensor) => add(inner.run(x), 1));
    for (let i = 0; i < 6; i++) {
      using x = tensor([i]);
      using y = outer.run(x);
      expect(await y.array()).toEqual([2 * i + 1]);
    }
  });

  it('plans memory so that nothing is overwritten while it is needed', async () => {
    // Random programs: each op takes earlier results, some of them long ago, and each result counts in the end.
    const data = new TestData();
    for (let round = 0; round < 20; round++) {
      const ops = Array.from(
        { length: 30 },
        () => [data.integer(0, 3), data.next(), data.next(), data.integer(1, 40)] as const,
      );
      const program = (x: Tensor): Tensor => {
        const values = [x];
        for (const [kind, first, second, size] of ops) {
          const a = values[Math.floor(first * values.length)]!;
          const b = values[Math.floor(second * values.length)]!;
          const scalar = (t: Tensor): Tensor => (t.size === 1 ? t : sum(t));
          values.push(
            kind === 0
              ? add(a, scalar(b))
              : kind === 1
                ? sub(relu(a), 1)
                : kind === 2
                  ? add(full([size, 9], 1), scalar(a))
                  : scalar(a),
          );
        }
        return values.map((value) => sum(value)).reduce((total, value) => add(mul(total, 0.5), value));
      };
      using plan = capture(program);
      for (let i = 0; i < 4; i++) {
        using x = data.tensor([50]);
        using found = plan.run(x);
        using wanted = tidy(() => program(x));
        expect(await found.data(), `seed ${data.seed}`).toEqual(await wanted.data());
      }
      expect(plan.bytes).toBeGreaterThan(0);
    }
  });
});

describe('what cannot be replayed', () => {
  it.each([
    ['calls dataSync()', (x: Tensor) => mul(x, x.dataSync()[0]!)],
    ['calls data()', (x: Tensor) => (x.data().catch(() => undefined), mul(x, 2))],
    ['draws random numbers on the host', (x: Tensor) => mul(x, defaultGenerator().hostUniform(1)[0]!)],
  ])('a function that %s', (what, fn) => {
    using plan = capture(fn);
    using x = tensor([1]);
    expect(() => plan.run(x)).toThrow(expect.objectContaining({ code: 'ERR_STATE' }));
    expect(() => plan.run(x)).toThrow(`capture: the function ${what}, which a replay would not repeat`);
    expect(x.dataSync()[0]).toBe(1); // and the recording has ended
  });

  it('a function that does something else every time', () => {
    let calls = 0;
    using plan = capture((x: Tensor) => mul(x, calls++));
    using x = tensor([1]);
    for (let i = 0; i < 16; i++) plan.run(x).dispose();
    expect(() => plan.run(x)).toThrow('the function cannot be replayed');
  });

  it('a function that adds to gradients from outside', () => {
    const weight = tensor([3]);
    weight.requiresGrad = true;
    using plan = capture((x: Tensor) => sum(mul(x, weight)).backward());
    using x = tensor([2]);
    for (let i = 0; i < 16; i++) plan.run(x);
    expect(weight.grad!.dataSync()[0]).toBe(32);
    expect(() => plan.run(x)).toThrow(expect.objectContaining({ code: 'ERR_STATE' }));
    weight.dispose();
  });

  it('shared inputs, inputs that want gradients, promises, and disposed tensors', () => {
    using plan = capture((a: Tensor, b: Tensor) => add(a, b));
    using x = tensor([1]);
    expect(() => plan.run(x, x)).toThrow('has two inputs that share their memory');
    using leaf = tensor([1]);
    leaf.requiresGrad = true;
    expect(() => plan.run(x, leaf)).toThrow('no gradient flows through a plan');
    using slow = capture(async (a: Tensor) => a);
    expect(() => slow.run(x)).toThrow('must be synchronous');
    const outside = tensor([1]);
    using usesOutside = capture((a: Tensor) => add(a, outside));
    for (let i = 0; i < 4; i++) usesOutside.run(x).dispose();
    outside.dispose();
    expect(() => usesOutside.run(x)).toThrow(expect.objectContaining({ code: 'ERR_DISPOSED' }));
  });

  it('what the function throws comes out, and the next call works', () => {
    let fails = true;
    using plan = capture((x: Tensor) => {
      const y = mul(x, 2);
      if (fails) throw new TypeError('mine');
      return y;
    });
    using x = tensor([1]);
    const before = memory().tensors;
    expect(() => plan.run(x)).toThrow(new TypeError('mine'));
    expect(memory().tensors).toBe(before);
    fails = false;
    plan.run(x).dispose();
  });

  it('an error of a kernel names the op, ends the replay, and leaves the rest as it was', async () => {
    const { model, step, dispose } = training();
    using plan = capture(step);
    using x = randomUniform([4, 12, 12, 3]);
    using good = tensor(Int32Array.of(0, 1, 2, 3));
    using bad = tensor(Int32Array.of(0, 1, 2, 9));
    for (let i = 0; i < 4; i++) plan.run(x, good).dispose();
    const weights = await model.parameters()[0]!.data();
    const loss = plan.run(x, bad);
    await expect(loss.data()).rejects.toThrow(/crossEntropy: .*9/);
    loss.dispose();
    expect(await model.parameters()[0]!.data()).toEqual(weights);
    using next = plan.run(x, good);
    expect(Number.isFinite((await next.data())[0]!)).toBe(true);
    expect(await model.parameters()[0]!.data()).not.toEqual(weights);
    dispose();
  });
});

describe('workers', () => {
  const folder = temporaryFolder();

  it('record and replay on devices of their own, and may end with replays under way', () => {
    const script = `
      const { Worker, isMainThread, parentPort } = require('node:worker_threads');
      const { capture, randomUniform, matmul, sum, full } = require(${JSON.stringify(join(__dirname, '../../dist'))});
      const x = full([200, 200], 0.01);
      const plan = capture((x) => sum(matmul(matmul(x, x), x)));
      const run = async () => { let last; for (let i = 0; i < 50; i++) last = (await plan.run(x).data())[0]; return last; };
      if (isMainThread) {
        let done = 0;
        for (let i = 0; i < 3; i++) {
          const worker = new Worker(__filename);
          worker.on('message', async (value) => { if (value !== await run()) process.exit(3); done += 1; });
          worker.on('error', () => process.exit(4));
        }
        process.on('exit', (code) => { if (code === 0 && done !== 3) process.exitCode = 5; });
      } else {
        run().then((value) => { parentPort.postMessage(value); for (let i = 0; i < 20; i++) plan.run(x); });
      }
    `;
    const file = join(folder, 'worker.cjs');
    writeFileSync(file, script);
    execFileSync(process.execPath, [file], { stdio: 'inherit' });
  });
});
