import { logSoftmax, softmax } from './softmax';

export type Reduction = 'none' | 'mean' | 'sum';

export interface ClassLoss {
  /** Rows of logits or probabilities. */
  scores: ArrayLike<number>;
  classes: number;
  /** One a row, or */
  labels?: ArrayLike<number>;
  /** as the scores. */
  targets?: ArrayLike<number>;
  smoothing: number;
  classWeight?: ArrayLike<number>;
  /** One a row. */
  sampleWeight?: ArrayLike<number>;
  /** From probabilities: what they are clipped to. */
  epsilon?: number;
  reduction: Reduction;
  /** The gradient of the result: one, or one a row for 'none'. */
  dloss: ArrayLike<number>;
}

/** Cross-entropy and its gradient with respect to the scores, in float64. */
export function classLoss(o: ClassLoss): { loss: number[]; gradient: Float64Array } {
  const { scores, classes, labels, smoothing, epsilon, reduction } = o;
  const rows = scores.length / classes;
  const losses: number[] = [];
  const rowGradients: number[][] = [];
  let divisor = 0;
  for (let r = 0; r < rows; r++) {
    const x = Array.from({ length: classes }, (_, c) => scores[r * classes + c]!);
    const a = x.map((_, c) => {
      const t = labels ? Number(labels[r] === c) : o.targets![r * classes + c]!;
      return (o.classWeight?.[c] ?? 1) * (t * (1 - smoothing) + smoothing / classes);
    });
    const sample = o.sampleWeight?.[r] ?? 1;
    const dot = (p: number[], q: number[]): number => p.reduce((sum, value, i) => sum + value * q[i]!, 0);
    if (epsilon === undefined) {
      losses.push(-sample * dot(a, logSoftmax(x)));
      const total = a.reduce((p, q) => p + q, 0);
      rowGradients.push(softmax(x).map((q, c) => sample * (q * total - a[c]!)));
    } else {
      const sum = x.reduce((p, q) => p + q, 0);
      const inside = x.map((p) => p / sum >= epsilon && p / sum <= 1 - epsilon);
      const q = x.map((p) => Math.min(Math.max(p / sum, epsilon), 1 - epsilon));
      losses.push(-sample * dot(a, q.map(Math.log)));
      const total = a.reduce((p, value, c) => p + (inside[c] ? value : 0), 0);
      rowGradients.push(q.map((p, c) => (sample / sum) * (total - (inside[c] ? a[c]! / p : 0))));
    }
    divisor += labels && o.classWeight ? o.classWeight[labels[r]!]! : 1;
  }
  const { loss, scale } = reduce(losses, reduction, divisor, o.dloss);
  const gradient = Float64Array.from(rowGradients.flatMap((row, r) => row.map((g) => g * scale(r))));
  return { loss, gradient };
}

export type Pointwise = { loss(p: number, t: number): number; derivative(p: number, t: number): number };

/** Losses of one prediction and one target each. */
export const pointwise = {
  mse: (): Pointwise => ({ loss: (p, t) => (p - t) ** 2, derivative: (p, t) => 2 * (p - t) }),
  mae: (): Pointwise => ({ loss: (p, t) => Math.abs(p - t), derivative: (p, t) => Math.sign(p - t) }),
  huber: (delta: number): Pointwise => ({
    loss: (p, t) => (Math.abs(p - t) <= delta ? 0.5 * (p - t) ** 2 : delta * (Math.abs(p - t) - 0.5 * delta)),
    derivative: (p, t) => Math.min(Math.max(p - t, -delta), delta),
  }),
  binaryCrossEntropy: (smoothing: number, epsilon: number): Pointwise => ({
    loss: (p, t) => {
      const q = Math.min(Math.max(p, epsilon), 1 - epsilon);
      const s = t * (1 - smoothing) + smoothing / 2;
      return -(s * Math.log(q) + (1 - s) * Math.log(1 - q));
    },
    derivative: (p, t) => {
      if (p < epsilon || p > 1 - epsilon) return 0;
      return (p - (t * (1 - smoothing) + smoothing / 2)) / (p * (1 - p));
    },
  }),
  binaryCrossEntropyWithLogits: (smoothing: number): Pointwise => ({
    loss: (z, t) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - z * (t * (1 - smoothing) + smoothing / 2),
    derivative: (z, t) => 1 / (1 + Math.exp(-z)) - (t * (1 - smoothing) + smoothing / 2),
  }),
};

/** A pointwise loss and its gradient. Each weight is for as many neighbouring elements as it has fewer. */
export function pointwiseLoss(
  fn: Pointwise,
  predictions: ArrayLike<number>,
  targets: ArrayLike<number>,
  reduction: Reduction,
  dloss: ArrayLike<number>,
  sampleWeight?: ArrayLike<number>,
): { loss: number[]; gradient: Float64Array } {
  const count = predictions.length;
  const weight = (i: number): number =>
    sampleWeight ? sampleWeight[Math.floor(i / (count / sampleWeight.length))]! : 1;
  const losses = Array.from(predictions, (p, i) => weight(i) * fn.loss(p, targets[i]!));
  const { loss, scale } = reduce(losses, reduction, count, dloss);
  return {
    loss,
    gradient: Float64Array.from(predictions, (p, i) => weight(i) * fn.derivative(p, targets[i]!) * scale(i)),
  };
}

function reduce(losses: number[], reduction: Reduction, divisor: number, dloss: ArrayLike<number>) {
  const sum = losses.reduce((a, b) => a + b, 0);
  switch (reduction) {
    case 'none':
      return { loss: losses, scale: (i: number) => dloss[i]! };
    case 'mean':
      return { loss: [sum / divisor], scale: () => dloss[0]! / divisor };
    case 'sum':
      return { loss: [sum], scale: () => dloss[0]! };
  }
}
