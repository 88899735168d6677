import { deviceInfo } from '../../lib';

/** Commands that the device gets while `body` runs. */
export function commandsOf(body: () => unknown): number {
  const before = deviceInfo().commands;
  body();
  return deviceInfo().commands - before;
}
