/** What went wrong, for programs to act on. */
export type ErrorCode =
  /** Shapes that do not fit. */
  | 'ERR_SHAPE'
  /** Elements of another type than wanted. */
  | 'ERR_DTYPE'
  /** An argument that makes no sense, labels and indices out of range among them. */
  | 'ERR_VALUE'
  /** A tensor that was disposed. */
  | 'ERR_DISPOSED'
  /** No memory is left, or the limit is reached. */
  | 'ERR_MEMORY'
  /** A device that is not there. */
  | 'ERR_DEVICE'
  /** A file that is damaged, or no such file. */
  | 'ERR_FORMAT'
  /** Something that cannot be done now: `fit` before `compile`. */
  | 'ERR_STATE'
  /** A mistake of convgrad's own. */
  | 'ERR_INTERNAL';

/** Every error that convgrad throws, native ones included: a sentence for people and a `code` for programs. */
export class ConvgradError extends Error {
  override readonly name = 'ConvgradError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
