import { describe, expect, it } from 'vitest';
import * as cg from '../../lib';
import { crossEntropy, crossEntropyFromProbabilities, gradCheck, tensor, type Reduction, type Tensor } from '../../lib';
import { loadCases } from '../fixtures/load';
import * as reference from '../reference/loss';
import { softmax } from '../reference/softmax';
import { errorOf, expectClose, expectExact } from '../support/compare';
import { expectGolden } from '../support/golden';
import { rejectionOf } from '../support/files';
import { withThreadCounts } from '../support/isas';
import { TestData } from '../support/random';

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const reductions: Reduction[] = ['none', 'mean', 'sum'];

function leaf(t: Tensor): Tensor {
  t.requiresGrad = true;
  return t;
}

/** Rows of positive numbers; `normalized`: that sum to 1. */
function probabilities(data: TestData, shape: number[], normalized = true): Tensor {
  const classes = shape.at(-1)!;
  const rows = Array.from({ length: sizeOf(shape) / classes }, () => softmax(data.floats(classes, -3, 3)));
  return tensor(
    Float32Array.from(rows.flatMap((row, i) => row.map((p) => (normalized ? p : p * (1 + (i % 3)))))),
    shape,
  );
}

describe.each([[[5, 10]], [[1, 2]], [[700, 7]], [[3, 1000]], [[2, 3, 4, 21]], [[9, 1]]])(
  'cross-entropy of %j',
  (shape) => {
    const data = new TestData();
    const context = `seed ${data.seed}`;
    const classes = shape.at(-1)!;
    const lossShape = shape.slice(0, -1);
    const rows = sizeOf(lossShape);
    const labels = tensor(
      Int32Array.from({ length: rows }, () => data.integer(0, classes - 1)),
      lossShape,
    );
    const targets = probabilities(data, shape);
    const classWeight = data.tensor([classes], 0.2, 3);
    const sampleWeight = data.tensor(lossShape, 0, 2);

    const variants = reductions.flatMap((reduction) => [
      { reduction },
      { reduction, labelSmoothing: 0.125 },
      { reduction, classWeight },
      { reduction, sampleWeight },
      { reduction, labelSmoothing: 0.25, classWeight, sampleWeight },
    ]);

    describe.each(variants.map((options) => ({ options, name: Object.keys(options).join() + options.reduction })))(
      '$name',
      ({ options }) => {
        const {
          reduction,
          labelSmoothing = 0,
          classWeight,
          sampleWeight,
        } = options as cg.CrossEntropyOptions & {
          reduction: Reduction;
        };
        const common = {
          classes,
          smoothing: labelSmoothing,
          reduction,
          ...(classWeight ? { classWeight: classWeight.dataSync() } : {}),
          ...(sampleWeight ? { sampleWeight: sampleWeight.dataSync() } : {}),
        };
        const dlossShape = reduction === 'none' ? lossShape : [];
        // Gradients are differences of terms of about this size.
        const scale = reduction === 'mean' ? 4 / rows : 4;

        it.each(['labels', 'targets'] as const)('matches the float64 reference from logits, with %s', (kind) => {
          const logits = leaf(data.tensor(shape, -6, 6));
          const dloss = data.tensor(dlossShape, 0.5, 1.5);
          const target = kind === 'labels' ? labels : targets;
          const loss = crossEntropy(logits, target, options);
          expect(loss.shape).toEqual(dlossShape);
          loss.backward({ gradient: dloss });
          const expected = reference.classLoss({
            ...common,
            scores: logits.dataSync(),
            [kind]: target.dataSync(),
            dloss: dloss.dataSync(),
          });
          expectClose(loss, expected.loss, { relative: 3e-6, absolute: 2e-6 }, context);
          expectClose(logits.grad!, expected.gradient, { relative: 2e-6, scale }, context);
        });

        it.each(['labels', 'targets'] as const)('matches the float64 reference from probabilities, with %s', (kind) => {
          const p = leaf(probabilities(data, shape, false));
          const dloss = data.tensor(dlossShape, 0.5, 1.5);
          const target = kind === 'labels' ? labels : targets;
          const loss = crossEntropyFromProbabilities(p, target, options);
          loss.backward({ gradient: dloss });
          const expected = reference.classLoss({
            ...common,
            scores: p.dataSync(),
            [kind]: target.dataSync(),
            dloss: dloss.dataSync(),
            epsilon: Math.fround(1e-7),
          });
          expectClose(loss, expected.loss, { relative: 3e-6, absolute: 2e-6 }, context);
          expectClose(p.grad!, expected.gradient, { relative: 1e-5, absolute: 2e-6 * scale }, context);
        });
      },
    );

    it('gives the same numbers for any number of threads', () => {
      const logits = leaf(data.tensor(shape));
      const [one, ...others] = withThreadCounts(() => {
        logits.grad = null;
        const loss = crossEntropy(logits, labels, { classWeight });
        loss.backward();
        return [loss, logits.grad!].map((t) => t.dataSync());
      });
      for (const other of others) other.forEach((values, i) => expectExact(values, one![i]!, context));
    });
  },
);

describe('cross-entropy', () => {
  const data = new TestData();
  const labelsOf = (...values: number[]) => tensor(Int32Array.from(values));

  it('has the gradients that finite differences show', () => {
    const classWeight = data.tensor([4], 0.5, 2);
    gradCheck((x) => crossEntropy(x, labelsOf(1, 0, 3), { labelSmoothing: 0.1, classWeight }), [data.tensor([3, 4])]);
    const targets = probabilities(data, [3, 4]);
    gradCheck((x) => crossEntropy(x, targets, { reduction: 'none' }), [data.tensor([3, 4])]);
    gradCheck((p) => crossEntropyFromProbabilities(p, targets), [data.tensor([3, 4], 0.5, 1.5)]);
    gradCheck(
      (p) => crossEntropyFromProbabilities(p, labelsOf(2, 2, 0), { reduction: 'none' }),
      [data.tensor([3, 4], 0.5, 1.5)],
    );
  });

  it('stays finite for large logits, and for logits of -Infinity that no target asks for', () => {
    const logits = leaf(tensor([1e4, -1e4, 0, -Infinity], [1, 4]));
    const loss = crossEntropy(logits, labelsOf(1));
    loss.backward();
    expectExact(loss, [2e4]);
    expectExact(logits.grad!, [1, -1, 0, 0]);
  });

  it('clips probabilities as Keras does, and gives clipped ones no gradient of their own', () => {
    const p = leaf(tensor([0, 0.25, 0.75], [1, 3]));
    const loss = crossEntropyFromProbabilities(p, labelsOf(0), { reduction: 'sum' });
    loss.backward();
    expectClose(loss, [-Math.log(1e-7)], { relative: 1e-6 });
    expectExact(p.grad!, [0, 0, 0]);
  });

  it('weighs whole samples of an image', () => {
    const logits = data.tensor([2, 3, 4]);
    const labels = tensor(new Int32Array(6), [2, 3]);
    const all = crossEntropy(logits, labels, { reduction: 'none' }).dataSync();
    const weighted = crossEntropy(logits, labels, { reduction: 'none', sampleWeight: tensor([2, 0]) });
    expectExact(
      weighted,
      [...all].map((loss, i) => (i < 3 ? 2 * loss : 0)),
    );
  });

  it('turns NaN into a NaN loss and nothing worse', () => {
    const logits = leaf(tensor([1, NaN, 2, 0, 1, 2], [2, 3]));
    const losses = crossEntropy(logits, labelsOf(0, 0), { reduction: 'none' });
    expect([...losses.dataSync()].map(Number.isNaN)).toEqual([true, false]);
    expect(crossEntropy(logits, labelsOf(0, 0), { classWeight: tensor([0, 0, 1]) }).item()).toBeNaN();
    crossEntropy(logits, labelsOf(0, 0)).backward();
    expect([...logits.grad!.dataSync()].map(Number.isNaN)).toEqual([true, true, true, false, false, false]);
    expect(crossEntropy(data.tensor([1, 3]), tensor([NaN, 0, 0], [1, 3])).item()).toBeNaN();
  });

  it.each([
    [labelsOf(0, 1, 2, 12, -4), 'labels[3] is 12, wanted 0..9'],
    [labelsOf(0, -1, 2, 12, 4), 'labels[1] is -1, wanted 0..9'],
  ])('names a label that is out of range, and goes on afterwards', async (labels, message) => {
    const logits = leaf(data.tensor([5, 10]));
    const wanted = { code: 'ERR_VALUE', message: `crossEntropy: ${message}` };
    expect(await rejectionOf(crossEntropy(logits, labels).data())).toMatchObject(wanted);
    const step = async (): Promise<void> => {
      crossEntropy(logits, labels).backward();
      await logits.grad!.data();
    };
    expect(await rejectionOf(step())).toMatchObject(wanted);
    logits.grad = null;
    const image = tensor(Int32Array.from([0, 1, 2, 3, 4, 9]), [3, 2]);
    expect(await rejectionOf(crossEntropy(data.tensor([3, 2, 9]), image).data())).toMatchObject({
      message: 'crossEntropy: labels[2, 1] is 9, wanted 0..8',
    });
    expect(Number.isFinite(crossEntropy(logits, labelsOf(1, 2, 3, 4, 5)).item())).toBe(true);
  });

  it('refuses a bad label in the backward pass too', () => {
    const logits = leaf(data.tensor([2, 3]));
    const loss = crossEntropy(logits, labelsOf(0, 7));
    expect(errorOf(() => loss.dataSync())).toMatchObject({ message: /labels\[1\] is 7/ });
    loss.backward();
    expect(errorOf(() => logits.grad!.dataSync())).toMatchObject({
      message: 'crossEntropyBackward: labels[1] is 7, wanted 0..2',
    });
  });

  const logits = data.tensor([2, 3]);
  it.each([
    [() => crossEntropy(data.tensor([3]), labelsOf(1)), 'ERR_SHAPE', /logits must have at least 2 dimensions/],
    [
      () => crossEntropy(logits, labelsOf(1, 2, 0)),
      'ERR_SHAPE',
      /labels for logits \[2, 3\] must have shape \[2\], got \[3\]/,
    ],
    [
      () => crossEntropy(logits, tensor([1, 2])),
      'ERR_SHAPE',
      /target probabilities must have shape \[2, 3\].*got \[2\]/,
    ],
    [
      () => crossEntropy(logits, tensor([1, 2], [2], 'uint8') as unknown as Tensor),
      'ERR_DTYPE',
      /int32 labels or float32 probabilities, got uint8/,
    ],
    [
      () => crossEntropy(logits, labelsOf(1, 2), { classWeight: tensor([1, 2]) }),
      'ERR_SHAPE',
      /classWeight must have shape \[3\], got \[2\]/,
    ],
    [
      () => crossEntropy(logits, labelsOf(1, 2), { sampleWeight: tensor([1, 2, 3]) }),
      'ERR_SHAPE',
      /sampleWeight .*\[2\].* got \[3\]/,
    ],
    [() => crossEntropy(logits, labelsOf(1, 2), { labelSmoothing: 1.5 }), 'ERR_VALUE', /labelSmoothing .* got 1.5/],
    [
      () => crossEntropy(logits, labelsOf(1, 2), { reduction: 'average' as 'mean' }),
      'ERR_VALUE',
      /reduction must be one of 'none', 'mean', 'sum', got average/,
    ],
    [() => crossEntropy(logits, leaf(data.tensor([2, 3]))), 'ERR_VALUE', /no gradient flows to target/],
    [
      () => crossEntropyFromProbabilities(logits, labelsOf(1, 2), { epsilon: 0 }),
      'ERR_VALUE',
      /crossEntropyFromProbabilities: epsilon/,
    ],
    [
      () => cg.mseLoss(logits, tensor([1, 2])),
      'ERR_SHAPE',
      /mseLoss: target must have the prediction's shape \[2, 3\], got \[2\]/,
    ],
    [() => cg.huberLoss(logits, logits, { delta: 0 }), 'ERR_VALUE', /huberLoss: delta must be positive, got 0/],
    [
      () => cg.maeLoss(logits, logits, { sampleWeight: leaf(tensor([1, 2])) }),
      'ERR_VALUE',
      /no gradient flows to sampleWeight/,
    ],
    [() => cg.binaryCrossEntropy(logits, leaf(data.tensor([2, 3]))), 'ERR_VALUE', /no gradient flows to target/],
    [
      () => cg.binaryCrossEntropyWithLogits(logits, labelsOf(1, 2) as unknown as Tensor),
      'ERR_DTYPE',
      /target must be float32, got int32/,
    ],
  ] as [() => unknown, string, RegExp][])('and the other losses refuse bad input %#', (body, code, message) => {
    const error = errorOf(body);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });
});

interface PointwiseCase {
  name: string;
  op: (prediction: Tensor, target: Tensor, options: cg.LossOptions) => Tensor;
  reference: reference.Pointwise;
  /** Whether predictions are probabilities. */
  probabilities?: boolean;
}

const pointwiseCases: PointwiseCase[] = [
  { name: 'mseLoss', op: cg.mseLoss, reference: reference.pointwise.mse() },
  { name: 'maeLoss', op: cg.maeLoss, reference: reference.pointwise.mae() },
  {
    name: 'huberLoss',
    op: (p, t, options) => cg.huberLoss(p, t, { ...options, delta: 0.5 }),
    reference: reference.pointwise.huber(0.5),
  },
  {
    name: 'binaryCrossEntropy',
    op: (p, t, options) => cg.binaryCrossEntropy(p, t, { ...options, labelSmoothing: 0.25 }),
    reference: reference.pointwise.binaryCrossEntropy(0.25, Math.fround(1e-7)),
    probabilities: true,
  },
  {
    name: 'binaryCrossEntropyWithLogits',
    op: (p, t, options) => cg.binaryCrossEntropyWithLogits(p, t, { ...options, labelSmoothing: 0.25 }),
    reference: reference.pointwise.binaryCrossEntropyWithLogits(0.25),
  },
];

describe.each(pointwiseCases)('$name', ({ op, reference: fn, probabilities }) => {
  const data = new TestData();
  const context = `seed ${data.seed}`;
  const predictions = (shape: number[]): Tensor =>
    probabilities ? data.tensor(shape, 0.02, 0.98) : data.tensor(shape, -4, 4);

  describe.each([[[1]], [[5, 3]], [[33, 17]], [[2, 7, 9, 5]], [[40001]]])('of %j', (shape) => {
    it.each(reductions)('matches the float64 reference, reduction %s', (reduction) => {
      for (const weightShape of [undefined, shape, shape.slice(0, 1), []]) {
        const p = leaf(predictions(shape));
        const t = data.tensor(shape, 0, 1);
        const sampleWeight = weightShape && data.tensor(weightShape, 0.5, 2);
        const loss = op(p, t, { reduction, sampleWeight });
        const dloss = data.tensor(reduction === 'none' ? shape : [], 0.5, 1.5);
        expect(loss.shape).toEqual(dloss.shape);
        loss.backward({ gradient: dloss });
        const expected = reference.pointwiseLoss(
          fn,
          p.dataSync(),
          t.dataSync(),
          reduction,
          dloss.dataSync(),
          sampleWeight?.dataSync(),
        );
        const absolute = 1e-6; // of predictions of this size
        expectClose(loss, expected.loss, { relative: 2e-6, absolute }, context);
        const scale = reduction === 'mean' ? 1 / sizeOf(shape) : 1;
        expectClose(p.grad!, expected.gradient, { relative: 2e-6, absolute: absolute * scale }, context);
      }
    });
  });

  it('gives the same numbers for any number of threads', () => {
    const [p, t, sampleWeight] = [leaf(predictions([300, 211])), data.tensor([300, 211], 0, 1), data.tensor([300])];
    const [one, ...others] = withThreadCounts(() => {
      p.grad = null;
      const loss = op(p, t, { sampleWeight });
      loss.backward();
      return [loss, p.grad!].map((x) => x.dataSync());
    });
    for (const other of others) other.forEach((values, i) => expectExact(values, one![i]!, context));
  });

  it('keeps NaN', () => {
    const p = leaf(tensor([NaN, 0.25, 0.5]));
    const losses = op(p, tensor([0, 1, 0]), { reduction: 'none' });
    expect([...losses.dataSync()].map(Number.isNaN)).toEqual([true, false, false]);
    op(p, tensor([0, 1, 0]), {}).backward();
    expect([...p.grad!.dataSync()].map(Number.isNaN)).toEqual([true, false, false]);
  });
});

describe('losses of one prediction and one target each', () => {
  const data = new TestData();

  it('are exact on integers', () => {
    const [p, t] = [tensor([1, -2, 3, 4]), tensor([0, 2, 3, 8])];
    expectExact(cg.mseLoss(p, t, { reduction: 'sum' }), [1 + 16 + 16]);
    expectExact(cg.maeLoss(p, t), [9 / 4]);
    expectExact(cg.huberLoss(p, t, { reduction: 'none' }), [0.5, 3.5, 0, 3.5]);
  });

  it('have the gradients that finite differences show, of differences for both operands', () => {
    const [p, t] = [data.tensor([4, 3]), data.tensor([4, 3], 2, 3)];
    gradCheck((p, t) => cg.mseLoss(p, t), [p, t]);
    gradCheck((p, t) => cg.maeLoss(p, t, { reduction: 'none' }), [p, t]);
    gradCheck((p, t) => cg.huberLoss(p, t, { delta: 0.25, reduction: 'sum' }), [p, t]);
    const target = data.tensor([4, 3], 0, 1);
    gradCheck((z) => cg.binaryCrossEntropyWithLogits(z, target), [p]);
    gradCheck((q) => cg.binaryCrossEntropy(q, target), [data.tensor([4, 3], 0.2, 0.8)]);
  });

  it('are finite at the ends', () => {
    const p = leaf(tensor([0, 1, 0, 1]));
    const loss = cg.binaryCrossEntropy(p, tensor([0, 1, 1, 0]), { reduction: 'none' });
    expectClose(loss, [1e-7, 1e-7, 16.118, 15.942], { relative: 1e-3 });
    loss.backward({ gradient: tensor([1, 1, 1, 1]) });
    expectExact(p.grad!, [0, 0, 0, 0]);
    const large = cg.binaryCrossEntropyWithLogits(tensor([1e4, -1e4, 1e4]), tensor([1, 0, 0]), { reduction: 'none' });
    expectExact(large, [0, 0, 1e4]);
  });
});

describe('losses as PyTorch', () => {
  interface GoldenLoss extends cg.LossOptions {
    labelSmoothing?: number;
    delta?: number;
  }
  const fromProbabilities = /FromProbabilities/;

  it.each(loadCases<GoldenLoss>('loss').filter(({ op }) => !fromProbabilities.test(op)))('$name', (golden) => {
    const ops: Record<string, (inputs: Record<string, Tensor>, options: GoldenLoss) => Tensor> = {
      sparseCategoricalCrossEntropy: ({ logits, labels, classWeights }, options) =>
        crossEntropy(logits!, labels!, { ...options, classWeight: classWeights }),
      categoricalCrossEntropy: ({ logits, targets }, options) => crossEntropy(logits!, targets!, options),
      binaryCrossEntropy: ({ probabilities, targets }, options) =>
        cg.binaryCrossEntropy(probabilities!, targets!, options),
      binaryCrossEntropyWithLogits: ({ logits, targets }, options) =>
        cg.binaryCrossEntropyWithLogits(logits!, targets!, options),
      mse: ({ predictions, targets }, options) => cg.mseLoss(predictions!, targets!, options),
      mae: ({ predictions, targets }, options) => cg.maeLoss(predictions!, targets!, options),
      huber: ({ predictions, targets }, options) => cg.huberLoss(predictions!, targets!, options),
    };
    expectGolden(golden as never, (inputs) => ops[golden.op]!(inputs, golden.config));
  });

  // PyTorch takes the probabilities as they are; normalising them first adds a constant to each row of the gradient.
  it.each(loadCases<GoldenLoss>('loss').filter(({ op }) => fromProbabilities.test(op)))('$name', (golden) => {
    const { probabilities, labels, targets } = golden.inputs;
    const p = leaf(tensor(Float32Array.from(probabilities!.data), probabilities!.shape));
    const target = labels
      ? tensor(Int32Array.from(labels.data), labels.shape)
      : tensor(Float32Array.from(targets!.data), targets!.shape);
    const loss = crossEntropyFromProbabilities(p, target, golden.config);
    expectClose(loss, golden.outputs['output']!.data, { relative: 1e-5 }, golden.name);
    const upstream = golden.upstream['output']!;
    loss.backward({ gradient: tensor(Float32Array.from(upstream.data), upstream.shape) });
    const classes = p.shape.at(-1)!;
    const [actual, expected] = [p.grad!.dataSync(), golden.grads['probabilities']!.data];
    const centred = (values: ArrayLike<number>): number[] =>
      Array.from(values, (value, i) => value - values[i - (i % classes)]!);
    expectClose(centred(actual), centred(expected), { relative: 1e-5 }, golden.name);
  });
});
