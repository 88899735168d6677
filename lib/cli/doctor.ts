import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { relative } from 'node:path';
import type { DeviceInfo } from '../native';
import { report, type GlobalOptions } from './output';
import { packageFolder, packageVersion } from './package';

interface Diagnosis {
  /** Whether the addon loads. */
  ok: boolean;
  version: string;
  node: string;
  platform: string;
  /** The file that was chosen, and why this one; or why none loads. */
  binary: { path: string | null; kind: 'prebuilt' | 'built from source' | 'none'; reason: string };
  processor: { model: string; cores: number };
  kernels: null | {
    isa: string;
    lanes: number;
    isaReason: string;
    availableIsas: string[];
    threads: number;
    threadsReason: string;
  };
  cuda: { usable: boolean; reason: string };
}

export function configure(command: Command): void {
  command
    .addHelpText('after', '\nExit code 1: the native addon does not load.\n\nExample:\n  $ convgrad doctor --json')
    .action(async (options: GlobalOptions) => {
      const diagnosis = await diagnose();
      report(diagnosis, describe(diagnosis), options);
      if (!diagnosis.ok) process.exitCode = 1;
    });
}

async function diagnose(): Promise<Diagnosis> {
  const about = {
    version: packageVersion(),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    processor: { model: cpus()[0]?.model.trim() ?? 'unknown', cores: availableParallelism() },
  };
  let info: DeviceInfo;
  try {
    info = (await import('../device.js')).deviceInfo();
  } catch (error) {
    const binary = { path: null, kind: 'none', reason: (error as Error).message } as const;
    return { ok: false, ...about, binary, kernels: null, cuda: { usable: false, reason: 'the addon does not load' } };
  }
  return { ok: true, ...about, binary: chosenBinary(), kernels: chosenKernels(info), cuda: cudaSeen(info) };
}

function chosenBinary(): Diagnosis['binary'] {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const path = (require('node-gyp-build') as { path(folder: string): string }).path(packageFolder);
  return relative(packageFolder, path).startsWith('build')
    ? { path, kind: 'built from source', reason: 'what was built from source goes before prebuilt binaries' }
    : { path, kind: 'prebuilt', reason: 'nothing was built from source, and this one fits the platform' };
}

function chosenKernels({ isa, lanes, availableIsas, threads }: DeviceInfo): Diagnosis['kernels'] {
  const environment = (name: string, otherwise: string): string =>
    process.env[name] ? `${name}=${process.env[name]}` : otherwise;
  return {
    isa,
    lanes,
    isaReason: environment('CONVGRAD_ISA', 'the best that this processor has'),
    availableIsas,
    threads,
    threadsReason: environment('CONVGRAD_THREADS', 'one a core'),
  };
}

function cudaSeen({ builtWithCuda }: DeviceInfo): Diagnosis['cuda'] {
  const driver = ['/proc/driver/nvidia/version', '/dev/dxg'].find((file) => existsSync(file));
  const seen = driver ? `an NVIDIA driver is there (${driver})` : 'no NVIDIA driver is there';
  return { usable: false, reason: builtWithCuda ? seen : `this build has no CUDA backend; ${seen}` };
}

function describe({ version, node, platform, binary, processor, kernels, cuda }: Diagnosis): string {
  const lines: [string, string][] = [
    ['convgrad', `${version}, Node ${node}, ${platform}`],
    ['binary', `${binary.path ?? 'none'} (${binary.kind === 'none' ? '' : `${binary.kind}: `}${binary.reason})`],
    ['processor', `${processor.model}, ${processor.cores} cores`],
  ];
  if (kernels) {
    const others = kernels.availableIsas.filter((isa) => isa !== kernels.isa);
    lines.push(
      ['instruction set', `${kernels.isa}, ${kernels.lanes} float32 lanes (${kernels.isaReason})`],
      ['', `also possible, with CONVGRAD_ISA: ${others.join(', ') || 'none'}`],
      ['threads', `${kernels.threads} (${kernels.threadsReason})`],
    );
  }
  lines.push(['CUDA', `${cuda.usable ? 'usable' : 'not used'} (${cuda.reason})`]);
  return lines.map(([title, text]) => `${title.padEnd(17)}${text}`).join('\n');
}
