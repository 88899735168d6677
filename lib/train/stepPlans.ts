import { executed, Recordings } from '../capture';
import type { DType, Tensor } from '../tensor';
import { Snapshot } from './snapshot';

/**
 * Runs a step of a model, and replays it where nothing has changed on which it depends: see `capture`. Modules and losses
 * that are not the library's run anyway, to see whether they do the same, since they may depend on anything; only what
 * follows from them, such as the backward pass, is then replayed.
 */
export class StepPlans {
  private readonly recordings = new Recordings({ strict: false });
  private readonly snapshot = new Snapshot();

  /**
   * @param dependencies what the step depends on, besides its tensors
   * @param hasOwnCode whether it calls functions of the user's that are not methods of modules
   */
  constructor(
    private readonly dependencies: () => readonly unknown[],
    private readonly hasOwnCode: boolean,
  ) {}

  run<R>(inputs: readonly Tensor<DType>[], step: () => R): R {
    this.look();
    if (this.snapshot.hasHooks) return executed(step);
    return this.recordings.run(inputs, step, this.takesOwnCode);
  }

  /** The result of a step, if nothing but a replay is needed for it. */
  replay<R>(inputs: readonly Tensor<DType>[]): R | undefined {
    this.look();
    return this.snapshot.hasHooks || this.takesOwnCode ? undefined : this.recordings.replay<R>(inputs);
  }

  private look(): void {
    if (!this.snapshot.update(this.dependencies())) this.recordings.clear();
  }

  private get takesOwnCode(): boolean {
    return this.hasOwnCode || this.snapshot.hasOwnCode;
  }
}
