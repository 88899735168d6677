/** What went wrong, for programs to act on. */
export type ErrorCode =
  | 'ERR_SHAPE'
  | 'ERR_DTYPE'
  | 'ERR_VALUE'
  | 'ERR_DISPOSED'
  | 'ERR_MEMORY'
  | 'ERR_DEVICE'
  | 'ERR_FORMAT'
  | 'ERR_STATE'
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
