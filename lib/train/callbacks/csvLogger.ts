import { open, type FileHandle } from 'node:fs/promises';
import type { Callback, Logs } from '../callback';

export interface CSVLoggerOptions {
  /** Default ','. */
  separator?: string;
  /** Goes on with the file of an earlier run, which has the header. Default false: the file is written anew. */
  append?: boolean;
}

/** Writes a line an epoch: `epoch`, then the logs in alphabetical order. A value that an epoch lacks is left empty. */
export class CSVLogger implements Callback {
  private file: FileHandle | undefined;
  private columns: string[] | undefined;

  constructor(
    private readonly path: string,
    private readonly options: CSVLoggerOptions = {},
  ) {}

  async onTrainBegin(): Promise<void> {
    this.columns = undefined;
    this.file = await open(this.path, this.options.append ? 'a' : 'w');
  }

  async onEpochEnd(epoch: number, logs: Logs): Promise<void> {
    if (!this.columns) {
      this.columns = Object.keys(logs).sort();
      const { size } = await this.file!.stat();
      if (size === 0) await this.write(['epoch', ...this.columns]);
    }
    await this.write([epoch, ...this.columns.map((name) => logs[name] ?? '')]);
  }

  async onTrainEnd(): Promise<void> {
    await this.file?.close();
    this.file = undefined;
  }

  private async write(fields: readonly (string | number)[]): Promise<void> {
    const { separator = ',' } = this.options;
    const quoted = fields.map((field) => {
      const text = String(field);
      return text.includes(separator) || /["\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    });
    await this.file!.write(`${quoted.join(separator)}\n`);
  }
}
