import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { runCli, runCliJson } from '../support/cli';

interface Diagnosis {
  ok: boolean;
  binary: { path: string | null; kind: string; reason: string };
  kernels: { isa: string; isaReason: string; availableIsas: string[]; threads: number; threadsReason: string } | null;
  cuda: { usable: boolean; reason: string };
}

describe('doctor', () => {
  test('names the binary, the instruction set, the threads, CUDA, and the reasons', async () => {
    const { code, json } = await runCliJson<Diagnosis>(['doctor']);
    expect(code).toBe(0);
    expect(json.ok).toBe(true);
    expect(existsSync(json.binary.path!)).toBe(true);
    expect(json.kernels!.availableIsas).toContain(json.kernels!.isa);
    expect(json.cuda.reason).not.toBe('');
  });

  test('says what the environment forces', async () => {
    const [isa] = (await runCliJson<Diagnosis>(['doctor'])).json.kernels!.availableIsas;
    const env = { CONVGRAD_ISA: isa, CONVGRAD_THREADS: '3' };
    const { code, json } = await runCliJson<Diagnosis>(['doctor'], { env });
    expect(code).toBe(0);
    expect(json.kernels).toMatchObject({
      isa,
      isaReason: `CONVGRAD_ISA=${isa}`,
      threads: 3,
      threadsReason: 'CONVGRAD_THREADS=3',
    });
    const { stdout } = await runCli(['doctor'], { env });
    expect(stdout).toContain(`CONVGRAD_ISA=${isa}`);
  });

  test('explains an addon that does not load, and exits with 1', async () => {
    const { code, json } = await runCliJson<Diagnosis>(['doctor'], { env: { CONVGRAD_ISA: 'quantum' } });
    expect(code).toBe(1);
    expect(json).toMatchObject({ ok: false, kernels: null, binary: { path: null, kind: 'none' } });
    expect(json.binary.reason).toContain('CONVGRAD_ISA');
  });
});
