import { isGradEnabled } from './autograd';
import { settingsRevision } from './device';
import { ConvgradError } from './errors';
import { mapTensors, tidy } from './memory';
import { native, type DType, type Handle, type PlanHandle } from './native';
import { Tensor } from './tensor';

/** Recordings of one function, for as many shapes of its inputs. The one used last comes first. */
const MOST_RECORDINGS = 8;
/** Calls that a function gets to do twice the same. */
const MOST_ATTEMPTS = 16;

interface Recording {
  readonly plan: PlanHandle;
  readonly gradEnabled: boolean;
  readonly settings: number;
  /** What the function returned, with the numbers of the plan's results for tensors. */
  readonly result: unknown;
  /** Whether another call did the same, so that the plan stands for the function. */
  isReady: boolean;
}

/** What is going on in this thread: ops are recorded, or only compared with a recording. */
let activity: 'none' | 'recording' | 'checking' = 'none';

/** Ends a check: what follows in the function follows from what was checked. */
const DECIDED = Symbol('decided');

/**
 * @internal For functions that are checked before each replay (see `Recordings`): says that the ops from here on follow
 * from those before. In a check it does not return.
 */
export function decided(): void {
  if (activity !== 'none') native.markRecording();
  if (activity === 'checking') throw DECIDED;
}

export interface RecordingsOptions {
  /** Whether a call that cannot be replayed throws ERR_STATE; otherwise the function just runs. */
  strict: boolean;
}

/**
 * @internal The recordings of a function. Its calls run and are recorded until two in a row with inputs of the same shapes
 * did the same; from then on they are replayed.
 */
export class Recordings {
  private recordings: Recording[] = [];
  private attempts = 0;

  constructor(private readonly options: RecordingsOptions) {}

  /**
   * @param body computes the result from the inputs
   * @param check whether to compare what the body enqueues, up to `decided()`, with the recording before each replay: for
   *   functions that may decide anew every time what they do
   */
  run<R>(inputs: readonly Tensor<DType>[], body: () => R, check = false): R {
    if (activity !== 'none') return body(); // part of what is recorded there
    const handles = inputs.map((input) => input.handle);
    const known = this.find(handles);
    const results =
      known?.isReady && (!check || holds(known, handles, body)) ? native.replay(known.plan, handles) : null;
    if (results) return this.replayed(known!, results);
    if (this.attempts < MOST_ATTEMPTS) {
      this.attempts += 1;
      return this.record(handles, body, known);
    }
    if (!this.options.strict) return executed(body);
    throw new ConvgradError(
      'ERR_STATE',
      `capture: the function cannot be replayed: in ${MOST_ATTEMPTS} calls it did not do twice the same with inputs of the ` +
        'same shapes, or freed tensors from outside that it used; decide outside of it, or do not capture it',
    );
  }

  /** The result, if it can be replayed without a look at the function. */
  replay<R>(inputs: readonly Tensor<DType>[]): R | undefined {
    const handles = inputs.map((input) => input.handle);
    const known = activity === 'none' ? this.find(handles) : undefined;
    const results = known?.isReady ? native.replay(known.plan, handles) : null;
    return results ? this.replayed<R>(known!, results) : undefined;
  }

  /** Bytes of planned memory: of the largest recording, since they never run at the same time. */
  get bytes(): number {
    return Math.max(0, ...this.recordings.filter(({ isReady }) => isReady).map(({ plan }) => native.planBytes(plan)));
  }

  clear(): void {
    for (const { plan } of this.recordings.splice(0)) native.disposePlan(plan);
  }

  private replayed<R>({ result }: Recording, results: readonly Handle[]): R {
    this.attempts = 0;
    return mapTensors(result, (it) => (it instanceof ResultNumber ? new Tensor(results[it.index]!) : it)) as R;
  }

  private find(handles: readonly Handle[]): Recording | undefined {
    const { recordings } = this;
    const index = recordings.findIndex(
      ({ plan, gradEnabled, settings }) =>
        gradEnabled === isGradEnabled() && settings === settingsRevision() && native.planFits(plan, handles),
    );
    if (index > 0) recordings.unshift(...recordings.splice(index, 1));
    return index < 0 ? undefined : recordings[0];
  }

  private record<R>(handles: readonly Handle[], body: () => R, before: Recording | undefined): R {
    const { strict } = this.options;
    let plan: PlanHandle | null;
    let result: R;
    const results: Handle[] = [];
    native.beginRecording(handles, strict ? 'strict' : 'lenient');
    activity = 'recording';
    try {
      result = executed(body);
      mapTensors(result, (tensor) => tensor instanceof Tensor && results.push(tensor.handle));
      plan = native.endRecording(results);
    } finally {
      activity = 'none';
      native.abortRecording();
    }
    const isSame = before !== undefined && plan !== null && native.samePlan(before.plan, plan);
    if (before) this.drop(before);
    if (plan && !strict && native.leavesTensors(plan)) {
      native.disposePlan(plan); // it would keep them
    } else if (plan) {
      let count = 0;
      this.recordings.unshift({
        plan,
        gradEnabled: isGradEnabled(),
        settings: settingsRevision(),
        result: mapTensors(result, (value) => (value instanceof Tensor ? new ResultNumber(count++) : value)),
        isReady: isSame,
      });
      if (this.recordings.length > MOST_RECORDINGS) this.drop(this.recordings.at(-1)!);
    }
    return result;
  }

  private drop(recording: Recording): void {
    this.recordings.splice(this.recordings.indexOf(recording), 1);
    native.disposePlan(recording.plan);
  }
}

/** Stands for a tensor in what a recorded function returned. */
class ResultNumber {
  constructor(readonly index: number) {}
}

/** @internal The function's result, without gradients: a replay has none either. Other tensors that it made are freed. */
export function executed<R>(body: () => R): R {
  return tidy(
    () => mapTensors(body(), (it) => (it instanceof Tensor && it.requiresGrad ? (it as Tensor).detach() : it)) as R,
  );
}

/** Whether the function, up to `decided()`, would enqueue what was recorded. Nothing is executed. */
function holds({ plan }: Recording, inputs: readonly Handle[], body: () => unknown): boolean {
  native.beginRecording(inputs, 'dry');
  activity = 'checking';
  try {
    tidy(body);
    return false; // it was not to come to its end
  } catch (error) {
    return error === DECIDED && native.endDryRun(plan); // other errors come again when it runs
  } finally {
    activity = 'none';
    native.abortRecording();
  }
}

/**
 * A function that was recorded, see `capture`.
 */
export class Plan<A extends Tensor<DType>[] = Tensor<DType>[], R = unknown> {
  private readonly recordings = new Recordings({ strict: true });
  private isDisposed = false;

  /** @internal */
  constructor(private readonly fn: (...inputs: A) => R) {}

  /**
   * Does what the function does with these inputs, and returns what it returns: tensors are new ones, without gradients.
   * @throws what the function throws; ERR_STATE where it does something that a replay would not repeat, or when an input
   *   requires a gradient
   */
  run(...inputs: A): R {
    if (this.isDisposed) throw new ConvgradError('ERR_DISPOSED', 'run: this plan was disposed');
    if (inputs.some((input) => input.requiresGrad)) {
      throw new ConvgradError('ERR_STATE', 'run: no gradient flows through a plan: detach() the inputs');
    }
    return this.recordings.run(inputs, () => this.fn(...inputs));
  }

  /**
   * Bytes that a replay needs for all that lives only within the function: planned when it was recorded, and 0 before.
   * Inputs, results, and what there is outside, such as parameters, do not count.
   */
  get bytes(): number {
    return this.recordings.bytes;
  }

  /** Forgets the recordings. Replays that are under way go on. */
  dispose(): void {
    this.isDisposed = true;
    this.recordings.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Records what a function does to its input tensors, to replay it with one native call: no JavaScript runs, no shapes are
 * checked, and everything that lives only within the function shares one block of planned memory. The numbers are the same,
 * bit for bit.
 *
 *     const step = capture((x: Tensor, labels: Tensor<'int32'>) => {
 *       const loss = crossEntropy(model(x), labels);
 *       loss.backward();
 *       optim.clipGradNorm(model.parameters(), 1);
 *       optimizer.step();
 *       optimizer.zeroGrad();
 *       return loss;
 *     });
 *     for (const [x, labels] of batches) console.log(await step.run(x, labels).data());
 *     console.log(step.bytes);
 *
 * Every `run` is one call of the function. The first ones run as written; once two with inputs of the same shapes and dtypes
 * have done the same, they are replayed. Random numbers, learning rates, step counts and running statistics go on as they
 * would: they are in tensors. But **what the function reads from JavaScript is as it was**: numbers, options, modes such as
 * `model.eval()`, tensors made from arrays. Where that changes, capture anew. Gradients must be cleared inside the function.
 *
 * `fit`, `evaluate` and `predict` do this by themselves.
 */
export function capture<A extends Tensor<DType>[], R>(fn: (...inputs: A) => R): Plan<A, R> {
  return new Plan(fn);
}
