import { tidy } from '../memory';
import {
  add,
  batchNorm,
  conv2d,
  conv2dBackwardInput,
  conv2dBackwardWeight,
  matmul,
  maxPool2d,
  relu,
  softmax,
} from '../ops';
import { randomUniform } from '../random';
import type { Tensor } from '../tensor';
import { measure, measurePeak, type MeasureOptions } from './measure';
import { bytesOf, flopsOf, opProblems, outputShape, type ConvProblem, type Problem } from './problems';
import { formatTable } from './table';

export interface OpResult {
  problem: string;
  pass: string;
  /** Median milliseconds. */
  ms: number;
  /** Where arithmetic is the bound. */
  gflops?: number;
  /** `gflops` as a fraction of the peak measured in the same run. */
  shareOfPeak?: number;
  /** Where memory is the bound: GB/s of what has to be read and written. */
  gigabytesPerSecond?: number;
}

export interface OpsReport {
  /** GFLOP/s of all threads in registers. */
  peakGflops: number;
  results: OpResult[];
}

/** Measures the ops; `onResult` is called after each. */
export async function benchOps(
  options: MeasureOptions = {},
  onResult?: (result: OpResult) => void,
): Promise<OpsReport> {
  const peakGflops = measurePeak();
  const results: OpResult[] = [];
  for (const problem of opProblems) {
    const result = rate(problem, await measureOp(problem, options), peakGflops);
    results.push(result);
    onResult?.(result);
  }
  return { peakGflops, results };
}

export function opsTable({ peakGflops, results }: OpsReport): string {
  const rows = results.map(({ problem, pass, ms, gflops, shareOfPeak, gigabytesPerSecond }) => [
    problem,
    pass,
    ms.toFixed(3),
    gflops?.toFixed(1) ?? '',
    shareOfPeak ? `${(100 * shareOfPeak).toFixed(0)} %` : '',
    gigabytesPerSecond?.toFixed(1) ?? '',
  ]);
  const table = formatTable(['problem', 'pass', 'ms', 'GFLOP/s', 'of peak', 'GB/s'], rows);
  return `${table}\n\npeak, measured in this run: ${peakGflops.toFixed(0)} GFLOP/s`;
}

/** Milliseconds that a problem takes. */
export async function measureOp(problem: Problem, options: MeasureOptions = {}): Promise<number> {
  const { inputs, run } = prepareOp(problem);
  try {
    return await measure(() => run().dispose(), options);
  } finally {
    for (const input of inputs) input.dispose();
  }
}

function rate(problem: Problem, ms: number, peak: number): OpResult {
  const result: OpResult = { problem: problem.name, pass: problem.pass, ms };
  if (problem.kind === 'conv2d' || problem.kind === 'matmul') {
    const gflops = flopsOf(problem) / ms / 1e6;
    return { ...result, gflops, shareOfPeak: gflops / peak };
  }
  return { ...result, gigabytesPerSecond: bytesOf(problem) / ms / 1e6 };
}

export interface OpTask {
  /** In the order of the op's operands; a convolution's are x, weight and dy, whichever pass it is. */
  inputs: Tensor[];
  run: () => Tensor;
}

/** A problem with random inputs. */
export function prepareOp(problem: Problem): OpTask {
  if (problem.kind === 'conv2d') return prepareConv(problem);
  if (problem.kind === 'matmul') {
    const [a, b] = [randomUniform([problem.m, problem.k]), randomUniform([problem.k, problem.n])];
    return { inputs: [a, b], run: () => matmul(a, b) };
  }
  const x = randomUniform(problem.shape);
  const runs = {
    relu: () => relu(x),
    add: () => add(x, x),
    maxPool2d: () => maxPool2d(x, { poolSize: 2 }),
    batchNorm: () => batchNorm(x, { training: true }),
    softmax: () => softmax(x),
  };
  return { inputs: [x], run: () => tidy(runs[problem.kind]) };
}

function prepareConv(problem: ConvProblem): OpTask {
  const { input, weight, stride, padding, groups } = problem;
  const options = { stride, padding, groups };
  const [x, w, dy] = [randomUniform(input), randomUniform(weight), randomUniform(outputShape(problem))];
  const passes = {
    forward: () => conv2d(x, w, null, options),
    'backward input': () => conv2dBackwardInput(dy, w, input, options),
    'backward weight': () => conv2dBackwardWeight(x, dy, weight, options),
  };
  return { inputs: [x, w, dy], run: passes[problem.pass] };
}
