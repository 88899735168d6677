import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { peerCommands } from '../../benchmarks/compare/commands';
import { Peer, type PeerCommand } from '../../benchmarks/compare/peer';
import { problems, problemsNamed, titleOf, type CompareProblem } from '../../benchmarks/compare/problems';
import { markdown, merge, rowOf, type Report } from '../../benchmarks/compare/report';
import { compare, type Comparison } from '../../benchmarks/compare/run';
import { distance } from '../../benchmarks/peers/serve';

const matmul: CompareProblem = { kind: 'matmul', name: 'small', pass: 'forward', m: 3, n: 4, k: 5 };

const fake = (library: string, ...behaviours: string[]): PeerCommand => ({
  library,
  command: process.execPath,
  args: [join(__dirname, 'fakePeer.cjs'), library, ...behaviours],
});

const run = (commands: PeerCommand[], options: { check?: boolean; timeout?: number } = {}): Promise<Comparison> =>
  compare(matmul, commands, { threads: 1, rounds: 3, budget: 1, check: false, ...options });

describe('a comparison', () => {
  test('takes turns and keeps the first variant of a library, and those that may be its fastest', async () => {
    const { entries, missing, flops, peak } = await run([fake('convgrad'), fake('Other', 'is varied')]);
    expect(entries.map(({ library, name, variant }) => [library, name, variant])).toEqual([
      ['convgrad', 'convgrad 1.0', 'only'],
      ['Other', 'Other 1.0', 'plain'],
      ['Other', 'Other 1.0', 'quick'],
    ]);
    for (const { samples, ms } of entries) {
      expect(samples).toHaveLength(3);
      expect(ms).toBe([...samples].sort((a, b) => a - b)[1]);
    }
    expect(missing).toEqual([{ library: 'Other, broken', reason: 'cannot' }]);
    expect([flops, peak]).toEqual([1e8, 100]);
  });

  test.each([
    ['crashes at once', /^prepare: it ended with exit code 3: no such library/],
    ['crashes later', /^measure: it ended with exit code 0/],
    ['says nonsense', /^measure: it answered fast!/],
    ['lies', /^measure: it answered -1 milliseconds/],
    ['hangs', /^measure: no answer in 0.5 s/],
    ['is unsupported', /^not today/],
  ])('goes on without a peer that %s, and says why', async (behaviour, reason) => {
    const { entries, missing } = await run([fake('convgrad'), fake('Bad', behaviour), fake('Good')], { timeout: 500 });
    expect(entries.map(({ library }) => library)).toEqual(['convgrad', 'Good']);
    expect(missing).toEqual([{ library: 'Bad', reason: expect.stringMatching(reason) }]);
  });

  test('goes on without any variant of a peer that ended', async () => {
    const { entries, missing } = await run([fake('convgrad'), fake('Bad', 'is varied', 'crashes later')]);
    expect(entries.map(({ library }) => library)).toEqual(['convgrad']);
    expect(missing).toEqual([{ library: 'Bad', reason: expect.stringMatching(/^measure: it ended/) }]);
  });

  test('goes on without a library that is not installed', async () => {
    const { missing } = await run([fake('convgrad'), { library: 'None', command: 'no-such-program', args: [] }]);
    expect(missing).toEqual([{ library: 'None', reason: expect.stringContaining('ENOENT') }]);
  });

  test('leaves out who computes something else', async () => {
    const reference = { ...fake('PyTorch'), isReference: true };
    const peers = [fake('convgrad'), reference, fake('Wrong', 'is wrong'), fake('NaN', 'gives NaN')];
    const { entries, missing, distances } = await run(peers, { check: true });
    expect(entries.map(({ library }) => library)).toEqual(['convgrad', 'PyTorch']);
    expect(missing.map(({ library }) => library)).toEqual(['Wrong', 'NaN']);
    expect(distances).toEqual({ convgrad: 1e-6 });
  });

  test('is none without convgrad', async () => {
    await expect(run([fake('convgrad', 'crashes at once'), fake('Other')])).rejects.toThrow(
      /convgrad: prepare: it ended/,
    );
  });

  test('measures this library', async () => {
    const peer = new Peer(peerCommands()[0]!, 1);
    try {
      expect(await peer.ask('prepare', { problem: matmul, threads: 1, folder: '.' })).toEqual({
        name: 'convgrad',
        variants: ['op'],
      });
      expect(await peer.measure('op', 1)).toBeGreaterThan(0);
      expect(await peer.ask('flops', {})).toEqual({ flops: 120 });
      await expect(peer.ask('export', {})).rejects.toThrow('cannot export');
    } finally {
      peer.close();
    }
  });

  test('holds NaN and a wrong number of elements for wrong', () => {
    expect(distance([1, 2.5], [1, 2])).toBe(0.25);
    expect(distance([1, NaN], [1, 2])).toBeNaN();
    expect(() => distance([1], [1, 2])).toThrow('gives 1 numbers, not 2');
  });
});

describe('the problems', () => {
  test('have different titles', () => {
    const titles = problemsNamed(['']).map(titleOf);
    expect(new Set(titles).size).toBe(titles.length);
  });

  test('are found by parts of their names, single layers too', () => {
    expect(problemsNamed([])).toEqual(problems);
    expect(problemsNamed(['vgg16 INFERENCE']).map(titleOf)).toEqual([
      'VGG16 inference, batch 1',
      'VGG16 inference, batch 8',
    ]);
    expect(problemsNamed(['VGG16 block1']).map(titleOf)).toContain('VGG16 block1: 64→64 3×3, 224², backward weight');
    expect(problemsNamed(['no such problem'])).toEqual([]);
  });
});

const entry = (library: string, variant: string, ms: number) => ({
  library,
  name: `${library} 1`,
  variant,
  ms,
  samples: [ms],
});

const comparison: Comparison = {
  problem: 'Keras CNN inference, batch 1',
  threads: 2,
  measured: '2026-01-01T00:00:00.000Z',
  flops: 2e9,
  peak: 200,
  entries: [
    entry('convgrad', 'predict', 20),
    entry('PyTorch', 'eager', 60),
    entry('PyTorch', 'jit, tuned malloc', 30),
    entry('Other', 'run', 40),
  ],
  missing: [{ library: 'Third', reason: 'not installed' }],
};

const report: Report = { machine: { processor: 'CPU', isa: 'avx2', node: 'v20' }, comparisons: [comparison] };

describe('the report', () => {
  test('compares with the fastest variant of all peers, and with what people write', () => {
    expect(rowOf(comparison)).toMatchObject({
      fastest: { variant: 'jit, tuned malloc' },
      ratio: 1.5,
      eager: { variant: 'eager' },
      eagerRatio: 3,
      gflops: 100,
      shareOfPeak: 0.5,
    });
  });

  test('is a table in Markdown that names what is missing', () => {
    const startup = {
      measured: '',
      missing: [],
      scripts: [
        { script: 'empty script', ms: 40, megabytes: 40, samples: [40] },
        { script: 'convgrad', ms: 90.4, megabytes: 61.2, samples: [90.4] },
      ],
    };
    const text = markdown({ ...report, startup }, []);
    expect(text).toContain('CPU, avx2, Node v20; convgrad 1, PyTorch 1, Other 1');
    expect(text).toContain(
      '| Keras CNN inference, batch 1 | 20.00 | 30.00 PyTorch (jit, tuned malloc) | 1.50 | 60.00 | 3.00 | 100 | 50 % |',
    );
    expect(text).toContain('| convgrad | 90 | 50 | 61 |');
    expect(text).toContain('- Third: not installed (Keras CNN inference, batch 1)');
  });

  test('has an empty place where there is no peer', () => {
    const alone = { ...comparison, entries: comparison.entries.slice(0, 1) };
    expect(markdown({ ...report, comparisons: [alone] }, [])).toContain('| 20.00 |  |  |  |  | 100 | 50 % |');
  });

  test('keeps older measurements of the same machine, and of no other', () => {
    const newer = { ...comparison, flops: 1 };
    const other = { ...comparison, threads: 1 };
    const measured = { ...report, comparisons: [newer] };
    expect(merge({ ...report, comparisons: [comparison, other] }, measured).comparisons).toEqual([newer, other]);
    expect(merge({ ...report, machine: { ...report.machine, isa: 'avx512' } }, measured)).toEqual(measured);
    expect(merge(null, measured)).toEqual(measured);
  });
});
