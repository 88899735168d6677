import { settingChanged } from './device';
import { ConvgradError } from './errors';
import type { Precision } from './native';

let current: Precision = 'high';

/**
 * What convolutions may choose from where they are asked for algorithm 'auto', as `set_float32_matmul_precision` in
 * PyTorch: 'high', the default, allows Winograd convolution, whose rounding error is a few times that of a sum of products
 * (see docs/precision.md); 'highest' does not. Holds for what is computed from now on, the gradients of earlier ops excepted.
 */
export function setPrecision(precision: Precision): void {
  if (precision !== 'high' && precision !== 'highest') {
    throw new ConvgradError('ERR_VALUE', `setPrecision: must be 'high' or 'highest', got '${String(precision)}'`);
  }
  if (precision !== current) settingChanged();
  current = precision;
}

/** What `setPrecision` has set. */
export function getPrecision(): Precision {
  return current;
}
