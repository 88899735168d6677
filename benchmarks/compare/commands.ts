import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { PeerCommand } from './peer';

const peers = join(__dirname, '..', 'peers');

/** convgrad first, then every library that it is compared with. */
export function peerCommands(environment: NodeJS.ProcessEnv = process.env): PeerCommand[] {
  const node = (library: string, file: string): PeerCommand => ({
    library,
    command: process.execPath,
    args: ['--import', 'tsx', join(peers, file)],
  });
  const pytorch = {
    library: 'PyTorch',
    command: environment['CONVGRAD_PYTHON'] ?? 'python3',
    args: [join(peers, 'torch_peer.py')],
  };
  return [
    node('convgrad', 'convgrad.ts'),
    // What people write, as it is; and everything faster with an allocator that keeps its memory.
    { ...pytorch, isReference: true, variants: ['eager'] },
    { ...pytorch, setting: 'tuned malloc', env: tunedMalloc() },
    node('onnxruntime-node', 'onnxruntime.ts'),
    node('TensorFlow.js', 'tfjs.ts'),
  ];
}

/** jemalloc or tcmalloc where there is one, else glibc's allocator told to keep what is freed. */
function tunedMalloc(): Record<string, string> {
  const folders = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib'];
  const names = ['libjemalloc.so.2', 'libtcmalloc_minimal.so.4', 'libtcmalloc.so.4'];
  const library = folders.flatMap((folder) => names.map((name) => join(folder, name))).find((path) => existsSync(path));
  if (library) return { LD_PRELOAD: library };
  const most = String(2 ** 40);
  return { MALLOC_MMAP_THRESHOLD_: most, MALLOC_TRIM_THRESHOLD_: most, MALLOC_TOP_PAD_: String(2 ** 26) };
}
