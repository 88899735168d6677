import type { CompareProblem } from './problems';

/**
 * What the runner asks a peer, as one line of JSON on its stdin, and what the peer answers, as one on its stdout. Any
 * request may be answered by `{ "error": "why" }`.
 */
export interface Protocol {
  /** Comes first. `folder` is for files; `variants` are the ways in which the peer can run the problem, what people write first. */
  prepare: {
    request: { problem: CompareProblem; threads: number; folder: string };
    answer: { name: string; variants: string[] } | { name: string; unsupported: string };
  };
  /** Milliseconds of a call, over as many as fit into the budget. The first time warms up before that. */
  measure: { request: { variant: string; budget: number }; answer: { ms: number } };
  /** GFLOP/s in registers. Only convgrad knows. */
  peak: { request: object; answer: { gflops: number } };
  /** Floating-point operations of a call. Only convgrad knows. */
  flops: { request: object; answer: { flops: number } };
  /** Writes the network to model.onnx in the folder. Only PyTorch can. */
  export: { request: object; answer: object };
  /**
   * Writes `input`, `output` and the weights (`weight.NAME`, in PyTorch's layout) to example.safetensors in the folder.
   * Images are NHWC; what training gives is the losses of its first three steps with `labels`. Only PyTorch can.
   */
  example: { request: object; answer: object };
  /** Computes the example. Its distance is the largest error over the largest number. */
  check: { request: object; answer: { distance: number } };
}

export type Verb = keyof Protocol;
