import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const dist = JSON.stringify(join(__dirname, '../../dist'));

/** Runs a script in a process of its own, with `cg` in scope, and returns what it printed. Fails unless it exits with 0. */
function run(script: string, ...nodeOptions: string[]): string {
  const source = `const cg = require(${dist});\n(async () => { ${script} })();`;
  const result = spawnSync(process.execPath, [...nodeOptions, '-e', source], { encoding: 'utf8', timeout: 60_000 });
  expect(result.signal, result.stderr).toBeNull();
  expect(result.status, result.stderr).toBe(0);
  return result.stdout.trim();
}

describe('the life of a process', () => {
  it('goes on while a result is awaited, and ends when nothing is', () => {
    expect(run('const t = cg.square(cg.tensor([3])); console.log((await t.data())[0]);')).toBe('9');
  });

  it('may exit in the middle of the work', () => {
    run('const x = cg.zeros([1 << 22]); for (let i = 0; i < 50; i++) cg.exp(x).dispose(); process.exit(0);');
  });

  it('gets memory back from tensors that were never disposed', () => {
    const script = `
      const x = cg.zeros([1 << 16]);
      for (let round = 0; round < 20; round++) {
        for (let i = 0; i < 100; i++) cg.exp(x);
        await new Promise(setImmediate); global.gc(); await new Promise(setImmediate);
      }
      const { tensors, blocks } = cg.memory();
      console.log(tensors < 200 && blocks < 200 ? 'flat' : JSON.stringify({ tensors, blocks }));`;
    expect(run(script, '--expose-gc')).toBe('flat');
  });

  it('is not disturbed by workers that come and go, each with a device of its own', () => {
    const worker = `
      const cg = require(${dist});
      const y = cg.exp(cg.zeros([100000]));
      y.data().then((v) => require('node:worker_threads').parentPort.postMessage(v[99999]));`;
    const script = `
      const { Worker } = require('node:worker_threads');
      const x = cg.zeros([100000]);
      const results = await Promise.all(Array.from({ length: 4 }, async () => {
        const w = new Worker(${JSON.stringify(worker)}, { eval: true });
        const value = await new Promise((resolve, reject) => w.once('message', resolve).once('error', reject));
        await w.terminate();
        return value + (await cg.exp(x).data())[5];
      }));
      console.log(results.join());`;
    expect(run(script)).toBe('2,2,2,2');
  });

  it('survives a worker that is terminated while its device is busy', () => {
    const worker = `
      const cg = require(${dist});
      const x = cg.zeros([1 << 20]);
      require('node:worker_threads').parentPort.postMessage('busy');
      for (;;) cg.exp(x).data().catch(() => {});`;
    const script = `
      const { Worker } = require('node:worker_threads');
      const w = new Worker(${JSON.stringify(worker)}, { eval: true });
      await new Promise((resolve) => w.once('message', resolve));
      await new Promise((resolve) => setTimeout(resolve, 50));
      await w.terminate();
      console.log((await cg.square(cg.tensor([5])).data())[0]);`;
    expect(run(script)).toBe('25');
  });
});

describe('memory that the user can pull away', () => {
  it('is copied at once', () => {
    const script = `
      const source = new Float32Array(1 << 20).fill(2);
      const t = cg.square(cg.tensor(source));
      structuredClone(source.buffer, { transfer: [source.buffer] });
      const shared = new Float32Array(new SharedArrayBuffer(16)).fill(3);
      const u = cg.square(cg.tensor(shared));
      shared.fill(7);
      console.log((await t.data())[1 << 19], (await u.data())[0]);`;
    expect(run(script)).toBe('4 9');
  });

  it('is refused when it is gone already', () => {
    const script = `
      const source = new Float32Array(4);
      structuredClone(source.buffer, { transfer: [source.buffer] });
      try { cg.tensor(source, [4]); } catch (error) { console.log(error.code, error instanceof cg.ConvgradError); }`;
    expect(run(script)).toBe('ERR_SHAPE true');
  });
});

describe('wrong calls', () => {
  it('leave nothing behind, ten thousand times', () => {
    const script = `
      const before = cg.memory();
      const x = cg.tensor([1, 2]), gone = cg.tensor([1]);
      gone.dispose();
      const calls = [
        () => cg.relu(gone), () => cg.relu({}), () => cg.relu(undefined), () => x.assign(cg.zeros([3])), () => cg.zeros([-1]),
        () => cg.zeros([2.5]), () => cg.zeros('12'), () => cg.tensor([[1], [2, 3]]), () => cg.clip(x, 'a', 1), () => x.item(),
      ];
      let thrown = 0;
      for (let i = 0; i < 10000; i++) {
        try { cg.tidy(calls[i % calls.length]); } catch (error) { thrown += Boolean(error.message); }
      }
      const sound = cg.square(x).dataSync()[1] === 4;
      x.dispose();
      global.gc(); await new Promise(setImmediate); global.gc(); await new Promise(setImmediate);
      const after = cg.memory();
      console.log(thrown, sound, after.tensors - before.tensors, after.blocks - before.blocks);`;
    expect(run(script, '--expose-gc')).toBe('10000 true 0 0');
  });
});
