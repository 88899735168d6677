import { cpus } from 'node:os';
import { deviceInfo } from '../device';

/** What results depend on. */
export interface Machine {
  processor: string;
  isa: string;
  threads: number;
  node: string;
}

export function machine(): Machine {
  const { isa, threads } = deviceInfo();
  return { processor: cpus()[0]?.model.trim() ?? 'unknown', isa, threads, node: process.version };
}
