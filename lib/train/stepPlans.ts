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
    const { snapshot, recordings } = this;
    if (!snapshot.update(this.dependencies())) recordings.clear();
    if (snapshot.hasHooks) return executed(step);
    return recordings.run(inputs, step, this.hasOwnCode || snapshot.hasOwnCode);
  }
}
