import type { Callback } from '../callback';

/** A callback from functions. An object that has them is a callback already; this is for those used to Keras. */
export class LambdaCallback implements Callback {
  constructor(hooks: Callback) {
    Object.assign(this, hooks);
  }
}
