/** Options that every command has. */
export interface GlobalOptions {
  json?: boolean;
}

/** Prints a command's result: the object as one line of JSON, or the text, if there is any. */
export function report(result: object, text: string, { json }: GlobalOptions): void {
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else if (text !== '') process.stdout.write(`${text}\n`);
}

/** Prints an error without its stack: as JSON on stdout, or its message on stderr. */
export function fail(error: unknown, { json }: GlobalOptions): void {
  const { message, code = 'ERR_FAILED' } = error as Partial<Error & { code: string }>;
  const text = message ?? String(error);
  if (json) process.stdout.write(`${JSON.stringify({ error: { code, message: text } })}\n`);
  else process.stderr.write(`convgrad: ${text}\n`);
}
