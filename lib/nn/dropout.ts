import { ConvgradError } from '../errors';
import { dropout } from '../ops';
import type { Tensor } from '../tensor';
import { Module } from './module';
import { registerModule } from './registry';

abstract class DropoutLayer extends Module {
  /** @param p the probability that something is dropped, in [0, 1) */
  constructor(readonly p = 0.5) {
    super();
    if (!(p >= 0 && p < 1)) {
      throw new ConvgradError('ERR_VALUE', `${this.constructor.name}: p must be in [0, 1), got ${p}`);
    }
  }

  override config(): Record<string, unknown> {
    return { p: this.p };
  }

  override extraRepr(): string {
    return `p=${this.p}, inplace=False`;
  }
}

/**
 * In training sets elements to 0, each with probability `p`, and scales the others by 1 / (1 - p); in inference passes
 * everything on. PyTorch and Keras `Dropout`. Repeatable by `setSeed`.
 */
export class Dropout extends DropoutLayer {
  forward(x: Tensor): Tensor {
    return dropout(x, this.p, { training: this.training });
  }
}

/**
 * Like `Dropout`, for whole channels of an image. PyTorch `Dropout2d`, Keras `SpatialDropout2D`. [N, H, W, C] → the same.
 */
export class SpatialDropout2d extends DropoutLayer {
  forward(x: Tensor): Tensor {
    if (x.rank !== 4) {
      throw new ConvgradError('ERR_SHAPE', `x must be [N, H, W, C], got [${x.shape.join(', ')}]`);
    }
    return dropout(x, this.p, { training: this.training, noiseShape: [x.shape[0]!, 1, 1, x.shape[3]!] });
  }
}

registerModule('Dropout', Dropout, ({ p }) => new Dropout(p));
registerModule('SpatialDropout2d', SpatialDropout2d, ({ p }) => new SpatialDropout2d(p));
