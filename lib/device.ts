import { ConvgradError } from './errors';
import { native, type DeviceInfo } from './native';

/**
 * Chooses where tensors are made: 'cpu', 'cuda' or 'auto'. The environment variable CONVGRAD_DEVICE does the same.
 * @throws ERR_DEVICE with the reason and what to do, when the device cannot be used: nothing ever falls back silently
 */
export function setDevice(device: string): void {
  if (device === 'cpu' || device === 'auto') return; // the CPU is the only backend of this build
  if (/^cuda(:\d+)?$/.test(device)) {
    throw new ConvgradError(
      'ERR_DEVICE',
      `device '${device}' cannot be used: this build of convgrad has no CUDA backend; use 'cpu' or 'auto'`,
    );
  }
  throw new ConvgradError('ERR_DEVICE', `device must be 'cpu', 'cuda', 'cuda:N' or 'auto', got '${device}'`);
}

/** The device, the instruction set that was chosen, and the number of threads. */
export function deviceInfo(): DeviceInfo {
  return native.deviceInfo();
}

let settingChanges = 0;

/** The number of threads that kernels use, the dispatcher included. Results do not depend on it. */
export function setThreads(count: number): void {
  const before = native.deviceInfo().threads;
  native.setThreads(count);
  if (count !== before) settingChanged();
}

/** @internal To be called when a setting is changed that recorded plans depend on. */
export function settingChanged(): void {
  settingChanges += 1;
}

/** @internal How often settings were changed that recorded plans depend on, such as threads, which their memory is for. */
export function settingsRevision(): number {
  return settingChanges;
}

/** A promise for everything that was enqueued before this call. Rejects with an error that an op left behind. */
export function synchronize(): Promise<void> {
  return native.settled();
}

/**
 * The most native memory to use, in bytes; 0 for no limit. What goes beyond it throws ERR_MEMORY, after which work can go
 * on with a smaller batch.
 */
export function setMemoryLimit(bytes: number): void {
  native.setMemoryLimit(bytes);
}

/** Gives memory that is kept for reuse back to the system. */
export function trimMemory(): void {
  native.trimMemory();
}

/** Starts `memory().peakBytes` anew. */
export function resetPeakMemory(): void {
  native.resetPeakMemory();
}

setDevice(process.env['CONVGRAD_DEVICE'] ?? 'auto');
