import { Argument, type Command } from 'commander';
import { benchNetworks, benchOps, machine, networksTable, opsTable } from '../bench';
import { report, type GlobalOptions } from './output';

export function configure(command: Command): void {
  command
    .addArgument(new Argument('[what]', 'what to measure; both without it').choices(['ops', 'train']))
    .addHelpText(
      'after',
      `
ops    each problem's median milliseconds, GFLOP/s, and share of the peak measured in the same run
train  images a second in training and prediction, and the longest time that training blocks the event loop

Examples:
  $ convgrad bench ops
  $ CONVGRAD_THREADS=1 convgrad bench train --json`,
    )
    .action(async (what: 'ops' | 'train' | undefined, options: GlobalOptions) => {
      const dot = (): void => void (process.stderr.isTTY && process.stderr.write('.'));
      const ops = what === 'train' ? undefined : await benchOps({}, dot);
      const train = what === 'ops' ? undefined : await benchNetworks({}, dot);
      const tables = [ops && opsTable(ops), train && networksTable(train)].filter(Boolean);
      report({ machine: machine(), ops, train }, tables.join('\n\n'), options);
    });
}
