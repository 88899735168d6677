import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median } from '../../lib/bench/measure';
import { networks } from '../networks';
import { Peer, PeerError, type PeerCommand } from './peer';
import type { NetworkTask } from './problems';

/** What `node script.js` takes until it has printed a prediction of the Keras CNN, read from a file. */
export interface Startup {
  script: string;
  /** Medians. */
  ms: number;
  megabytes: number;
  samples: number[];
}

export interface StartupReport {
  measured: string;
  scripts: Startup[];
  missing: { library: string; reason: string }[];
}

export const STARTUP = 'first prediction';

const scripts = join(__dirname, '..', 'startup');

/** Starts every script in turns. */
export async function compareStartup(
  problem: NetworkTask,
  commands: readonly PeerCommand[],
  rounds: number,
): Promise<StartupReport> {
  const folder = await mkdtemp(join(tmpdir(), 'convgrad-compare-'));
  try {
    const model = networks['Keras CNN'].make();
    const file = join(folder, 'model.safetensors');
    await model.save(file);
    const entries = [
      { name: 'empty script', args: [join(scripts, 'empty.cjs')] },
      { name: 'convgrad', args: [join(scripts, 'convgrad.cjs'), file] },
      { name: 'onnxruntime-node', args: [join(scripts, 'onnxruntime.cjs'), join(folder, 'model.onnx')] },
    ].map((entry) => ({ ...entry, runs: [] as Run[] }));
    const missing = new Map<string, string>();
    await exportModel(problem, commands, folder).catch((error: Error) =>
      missing.set('onnxruntime-node', error.message),
    );
    for (let round = -1; round < rounds; round++) {
      for (const { name, args, runs } of entries) {
        if (missing.has(name)) continue;
        try {
          const run = await firstLine(args);
          if (round >= 0) runs.push(run); // the first one warms the disk's cache
        } catch (error) {
          missing.set(name, (error as Error).message);
        }
      }
    }
    return {
      measured: new Date().toISOString(),
      scripts: entries
        .filter(({ name }) => !missing.has(name))
        .map(({ name, runs }) => ({
          script: name,
          ms: median(runs.map(({ ms }) => ms)),
          megabytes: median(runs.map(({ rss }) => rss)) / 2 ** 20,
          samples: runs.map(({ ms }) => ms),
        })),
      missing: Array.from(missing, ([library, reason]) => ({ library, reason })),
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function exportModel(problem: NetworkTask, commands: readonly PeerCommand[], folder: string): Promise<void> {
  const command = commands.find(({ isReference }) => isReference);
  if (!command) throw new PeerError('needs the file that PyTorch exports');
  const peer = new Peer(command, 1);
  try {
    await peer.ask('prepare', { problem, threads: 1, folder });
    await peer.ask('export', {});
  } finally {
    peer.close();
  }
}

interface Run {
  ms: number;
  rss: number;
}

/** Time from the start of a process to its first line, which says how much memory is resident. */
function firstLine(args: readonly string[]): Promise<Run> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const script = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let ms = NaN;
    let [said, complaints] = ['', ''];
    script.stdout.on('data', (text: Buffer) => {
      if (said === '') ms = performance.now() - start;
      said += text.toString();
    });
    script.stderr.on('data', (text: Buffer) => (complaints += text.toString()));
    script.once('error', reject);
    script.once('close', (code) => {
      if (code === 0) resolve({ ms, rss: (JSON.parse(said) as { rss: number }).rss });
      else reject(new Error(complaints.trim().slice(-300)));
    });
  });
}
