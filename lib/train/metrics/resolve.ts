import { ConvgradError } from '../../errors';
import { lookUp } from '../../names';
import { lossByName, lossNames, type Loss } from '../losses';
import { Accuracy, BinaryAccuracy, TopK } from './accuracy';
import { AUC } from './auc';
import { F1, Precision, Recall } from './classification';
import { MeanOf, type BatchFunction } from './mean';
import { Metric } from './metric';

/** What a user may pass for a metric. */
export type MetricLike = string | Metric | BatchFunction;

const byName: Readonly<Record<string, () => Metric>> = {
  sparseCategoricalAccuracy: () => new Accuracy({ name: 'sparseCategoricalAccuracy' }),
  categoricalAccuracy: () => new Accuracy({ name: 'categoricalAccuracy' }),
  binaryAccuracy: () => new BinaryAccuracy(),
  topK: () => new TopK(),
  topKCategoricalAccuracy: () => new TopK({ name: 'topKCategoricalAccuracy' }),
  sparseTopKCategoricalAccuracy: () => new TopK({ name: 'sparseTopKCategoricalAccuracy' }),
  precision: () => new Precision(),
  recall: () => new Recall(),
  f1: () => new F1(),
  auc: () => new AUC(),
  ...Object.fromEntries(lossNames.map((name) => [name, () => ofLoss(name)])),
};

/** A metric from a name, a metric or a function. 'accuracy' is the one that goes with the loss. */
export function resolveMetric(metric: MetricLike, loss: Loss, what: string): Metric {
  if (metric instanceof Metric) return metric;
  if (typeof metric === 'function') return new MeanOf(metric.name || 'metric', metric);
  if (typeof metric !== 'string') {
    throw new ConvgradError('ERR_VALUE', `${what} must be a name, a metric or a function, got ${String(metric)}`);
  }
  const accuracy = (name: string) => () =>
    loss.accuracy === 'binaryAccuracy' ? new BinaryAccuracy({ name }) : new Accuracy({ name });
  return lookUp({ accuracy: accuracy('accuracy'), acc: accuracy('acc'), ...byName }, metric, what)();
}

/** A loss of the predictions, unweighted. */
function ofLoss(name: string): Metric {
  const { compute } = lossByName(name, undefined, 'metric');
  return new MeanOf(name, (prediction, target) => compute(prediction, target, { sampleWeight: null }));
}

/** The metrics that can be written to a file, by the names of their classes. */
export const metricClasses: Readonly<Record<string, new (options: object) => Metric>> = {
  Accuracy,
  BinaryAccuracy,
  TopK,
  AUC,
  Precision,
  Recall,
  F1,
};
