import { describe, expect, test } from 'vitest';
import { memory, tensor } from '../../lib';
import {
  Accuracy,
  AUC,
  BinaryAccuracy,
  ConfusionMatrix,
  F1,
  MeanOf,
  Precision,
  Recall,
  TopK,
  type Metric,
  type Values,
} from '../../lib/train/metrics';
import { loadCases, typedData } from '../fixtures/load';
import { errorOf } from '../support/compare';
import { rejectionOf } from '../support/files';
import { TestData } from '../support/random';

async function measured<R>(metric: Metric<R>, target: Values, prediction: Values): Promise<R> {
  await metric.update(prediction, target);
  return metric.result();
}

describe('golden values', () => {
  for (const golden of loadCases<{ threshold: number }>('metrics', 'binaryMetrics')) {
    test(golden.name, async () => {
      const { threshold } = golden.config;
      const [labels, scores] = [typedData(golden.inputs['labels']!), typedData(golden.inputs['scores']!)];
      const metrics = {
        accuracy: new Accuracy({ threshold }),
        precision: new Precision({ threshold }),
        recall: new Recall({ threshold }),
        f1: new F1({ threshold }),
        auc: new AUC(),
      };
      for (const [name, metric] of Object.entries(metrics)) {
        expect(await measured(metric, labels, scores), name).toBeCloseTo(golden.outputs[name]!.data[0]!, 7);
      }
      expect(await measured(new BinaryAccuracy({ threshold }), labels, scores)).toBeCloseTo(
        golden.outputs['accuracy']!.data[0]!,
        7,
      );
    });
  }

  for (const golden of loadCases<{ k: number }>('metrics', 'multiclassMetrics')) {
    test(golden.name, async () => {
      const labels = typedData(golden.inputs['labels']!);
      const { shape } = golden.inputs['scores']!;
      using scores = tensor(typedData(golden.inputs['scores']!) as Float32Array, shape);
      const metrics = {
        accuracy: new Accuracy(),
        topK: new TopK({ k: golden.config.k }),
        macroPrecision: new Precision(),
        macroRecall: new Recall(),
        macroF1: new F1(),
      };
      for (const [name, metric] of Object.entries(metrics)) {
        expect(await measured(metric, labels, scores), name).toBeCloseTo(golden.outputs[name]!.data[0]!, 7);
      }
      for (const metric of [new Precision(), new Recall(), new F1()]) {
        await metric.update(scores, labels);
        const expected = golden.outputs[metric.name]!.data;
        metric.perClass().forEach((value, c) => expect(value, `${metric.name} ${c}`).toBeCloseTo(expected[c]!, 7));
      }
      const matrix = await measured(new ConfusionMatrix(), labels, scores);
      expect(matrix.flat()).toEqual(golden.outputs['confusionMatrix']!.data);
    });
  }
});

describe('random batches against definitions', () => {
  const data = new TestData();
  const [samples, classes] = [97, 5];
  const labels = Int32Array.from({ length: samples }, () => data.integer(0, classes - 1));
  // Few levels, so that there are ties.
  const scores = Float32Array.from({ length: samples * classes }, () => data.integer(0, 12) / 16);
  const row = (i: number) => [...scores.subarray(i * classes, (i + 1) * classes)];
  const context = `seed ${data.seed}`;

  /** In batches of uneven size, and with labels as classes or as one-hot rows. */
  async function inBatches<R>(metric: Metric<R>, oneHot: boolean): Promise<R> {
    for (let begin = 0; begin < samples; begin += 30) {
      const end = Math.min(samples, begin + 30);
      const own = labels.subarray(begin, end);
      const rows = Array.from(own, (label) => Array.from({ length: classes }, (_, c) => Number(c === label)));
      using prediction = tensor(scores.slice(begin * classes, end * classes), [end - begin, classes]);
      await metric.update(prediction, oneHot ? rows : own);
    }
    return metric.result();
  }

  for (const oneHot of [false, true]) {
    const labelled = oneHot ? 'one-hot labels' : 'classes';

    test(`accuracy and top k, ${labelled}`, async () => {
      const hits = Array.from(labels).filter((label, i) => row(i).indexOf(Math.max(...row(i))) === label).length;
      expect(await inBatches(new Accuracy(), oneHot), context).toBe(hits / samples);
      const topTwo = Array.from(labels).filter(
        (label, i) => row(i).filter((score) => score > row(i)[label]!).length < 2,
      ).length;
      expect(await inBatches(new TopK({ k: 2 }), oneHot), context).toBe(topTwo / samples);
    });

    test(`AUC, each class against the rest, ${labelled}`, async () => {
      let mean = 0;
      for (let c = 0; c < classes; c++) {
        let [wins, pairs] = [0, 0];
        for (let i = 0; i < samples; i++) {
          for (let j = 0; j < samples; j++) {
            if (labels[i] !== c || labels[j] === c) continue;
            pairs += 1;
            wins += row(i)[c]! > row(j)[c]! ? 1 : row(i)[c]! === row(j)[c]! ? 0.5 : 0;
          }
        }
        mean += wins / pairs / classes;
      }
      expect(await inBatches(new AUC(), oneHot), context).toBeCloseTo(mean, 12);
    });

    test(`averages of precision and recall, ${labelled}`, async () => {
      const matrix = await inBatches(new ConfusionMatrix(), oneHot);
      const hits = matrix.map((counts, c) => counts[c]!);
      const actual = matrix.map((counts) => counts.reduce((a, b) => a + b));
      const recalls = hits.map((hit, c) => hit / actual[c]!);
      const expected = recalls.reduce((sum, recall, c) => sum + (recall * actual[c]!) / samples, 0);
      expect(await inBatches(new Recall({ average: 'weighted' }), oneHot)).toBeCloseTo(expected, 12);
      const accuracy = hits.reduce((a, b) => a + b) / samples;
      for (const metric of [new Precision({ average: 'micro' }), new F1({ average: 'micro' })]) {
        expect(await inBatches(metric, oneHot), metric.name).toBeCloseTo(accuracy, 12);
      }
      expect(await inBatches(new Recall({ classId: 3 }), oneHot)).toBeCloseTo(recalls[3]!, 12);
    });
  }

  test('every pixel counts', async () => {
    using target = tensor(Int32Array.from([0, 1, 1, 0]), [1, 2, 2]);
    using prediction = tensor(Float32Array.from([0.9, 0.1, 0.2, 0.8, 0.6, 0.4, 0.7, 0.3]), [1, 2, 2, 2]);
    expect(await measured(new Accuracy(), target, prediction)).toBe(0.75);
  });

  test('scores of negative numbers and zeros of both signs rank as numbers do', async () => {
    expect(await measured(new AUC(), [0, 1, 0, 1], [-2, -1, 0, -0])).toBe(0.625);
  });
});

describe('at the edges', () => {
  test('a metric that has seen nothing has no value; a fresh one has seen nothing', async () => {
    const used = new Accuracy();
    await used.update([0.9], [1]);
    for (const metric of [new Accuracy(), new Recall(), new AUC(), used.fresh()]) expect(metric.result()).toBeNaN();
  });

  test('AUC of one class alone, or of NaN, is NaN', async () => {
    expect(await measured(new AUC(), [1, 1], [0.2, 0.3])).toBeNaN();
    using scores = tensor(Float32Array.of(0.2, NaN));
    expect(await measured(new AUC(), [0, 1], scores)).toBeNaN();
  });

  test('the mean of a function counts samples, not batches', async () => {
    const mean = new MeanOf('first', (prediction) => prediction);
    const target = Int32Array.of(0);
    mean.add([Float32Array.of(1)], 3);
    mean.add([Float32Array.of(5)], 1);
    expect(mean.result()).toBe(2);
    const error = await rejectionOf(mean.update(Float32Array.of(1, 2), target));
    expect(error).toMatchObject({ code: 'ERR_SHAPE' });
    expect(error.message).toContain('metric first');
  });

  test('what does not fit is refused, and nothing leaks', async () => {
    const before = memory().tensors;
    const wrong: [Metric<unknown>, Values, Values, RegExp][] = [
      [new Accuracy(), [0, 1, 2], [0.5, 0.5], /accuracy: labels of shape \[3\] do not fit predictions of shape \[2\]/],
      [
        new Precision(),
        [0, 5],
        [
          [0, 1],
          [1, 0],
        ],
        /precision: label 1 is 5, wanted 0 to 1/,
      ],
      [
        new ConfusionMatrix(),
        [0, -1],
        [
          [0, 1],
          [1, 0],
        ],
        /label 1 is -1/,
      ],
      [new AUC(), [0, 2], [0.5, 0.5], /auc: label 1 is 2, wanted 0 to 1/],
      [new Accuracy(), [0, NaN], [0.5, 0.5], /accuracy: target: element 1 is NaN/],
    ];
    for (const [metric, target, prediction, message] of wrong) {
      expect((await rejectionOf(metric.update(prediction, target))).message).toMatch(message);
    }
    expect(errorOf(() => new TopK({ k: 0 })).message).toContain('k must be a positive integer');
    expect(errorOf(() => new F1({ average: 'mean' as 'macro' })).message).toContain("'micro'");
    expect(memory().tensors).toBe(before);
  });
});
