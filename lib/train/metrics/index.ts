export { Accuracy, BinaryAccuracy, TopK } from './accuracy';
export { AUC } from './auc';
export { ConfusionMatrix, F1, Precision, Recall, type ClassMetricOptions } from './classification';
export { MeanOf, type BatchFunction } from './mean';
export { Metric, type Values } from './metric';
export { metricClasses, resolveMetric, type MetricLike } from './resolve';
