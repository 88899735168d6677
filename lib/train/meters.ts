import { noGrad } from '../autograd';
import type { DType, Tensor, TypedArray } from '../tensor';
import type { Logs } from './callback';
import type { Metric } from './metrics';

/** What has been read of a batch, on its way from the device. */
export interface Reading {
  /** Number of samples. */
  readonly size: number;
  /** The loss, then what each metric asked for. Resolves when the device has finished the step. */
  readonly values: Promise<readonly TypedArray[][]>;
}

/** The loss and the metrics over an epoch, or an evaluation. */
export class Meters {
  private readonly metrics: readonly Metric[];
  private lossSum = 0;
  private samples = 0;

  constructor(metrics: readonly Metric[]) {
    this.metrics = metrics.map((metric) => metric.fresh());
  }

  /** Whether there are metrics, which want to see predictions. */
  get needPrediction(): boolean {
    return this.metrics.length > 0;
  }

  /** Enqueues the reading of a batch, behind everything that is enqueued by now. Runs in `tidy`. */
  read(loss: Tensor, target: Tensor<DType>, prediction: Tensor | null, size: number): Reading {
    const measured = noGrad(() => this.metrics.map((metric) => metric.measure(prediction!, target)));
    const values = Promise.all([[loss], ...measured].map((parts) => Promise.all(parts.map((part) => part.data()))));
    values.catch(() => undefined); // whoever awaits it gets the error, and it may come before that
    return { size, values };
  }

  /** Takes in a reading that has arrived. */
  async add({ size, values }: Reading): Promise<void> {
    const [[loss], ...measured] = (await values) as [[TypedArray], ...TypedArray[][]];
    this.lossSum += loss[0]! * size;
    this.samples += size;
    for (const [i, metric] of this.metrics.entries()) metric.add(measured[i]!, size);
  }

  /** The means so far. In the middle of an epoch, without the metrics that take long to compute. */
  logs(isEnd: boolean): Logs {
    const logs: Logs = { loss: this.lossSum / this.samples };
    for (const metric of this.metrics) if (isEnd || metric.everyBatch) logs[metric.name] = metric.result();
    return logs;
  }
}
