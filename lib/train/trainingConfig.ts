import { ConvgradError } from '../errors';
import { lookUp } from '../names';
import { lossByName, lossNames } from './losses';
import { metricClasses, type Metric } from './metrics';
import type { OptimizerConfig } from './optimizers';
import type { TrainerOptions } from './options';
import type { Trainer } from './trainer';

/** How a model was compiled, as JSON. */
export interface TrainingConfig {
  optimizer: OptimizerConfig;
  loss: { name: string; options: Readonly<Record<string, unknown>> };
  metrics: (string | { class: string; options: object })[];
  clipNorm?: number;
}

/** Undefined when something has no name that could be written: an optimizer, a loss or a metric of one's own. */
export function trainingConfig({ options, loss, optimizerPlan }: Trainer): TrainingConfig | undefined {
  const metrics = (options.metrics ?? []).map((metric) =>
    typeof metric === 'string' ? metric : metricConfig(metric as Metric),
  );
  const isNamed = loss.options !== undefined && lossNames.includes(loss.name);
  if (!isNamed || !optimizerPlan.config || metrics.includes(undefined)) return undefined;
  return {
    optimizer: optimizerPlan.config,
    loss: { name: loss.name, options: loss.options! },
    metrics: metrics as TrainingConfig['metrics'],
    ...(options.clipNorm !== undefined && { clipNorm: options.clipNorm }),
  };
}

function metricConfig(metric: Metric): { class: string; options: object } | undefined {
  const name = Object.keys(metricClasses).find((key) => metricClasses[key] === metric.constructor);
  return name === undefined ? undefined : { class: name, options: metric.options };
}

/** What `compile` was called with. Throws ERR_VALUE for names that are not known. */
export function fromTrainingConfig({ optimizer, loss, metrics, clipNorm }: TrainingConfig): TrainerOptions {
  if (typeof optimizer?.class !== 'string' || typeof loss?.name !== 'string' || !Array.isArray(metrics)) {
    throw new ConvgradError('ERR_VALUE', 'its training configuration is incomplete');
  }
  return {
    optimizer,
    loss: lossByName(loss.name, loss.options, 'loss'),
    metrics: metrics.map((metric) => {
      if (typeof metric === 'string') return metric;
      const Class = lookUp(metricClasses, metric.class, 'metric');
      return new Class(metric.options);
    }),
    ...(clipNorm !== undefined && { clipNorm }),
  };
}
