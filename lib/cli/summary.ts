import type { Command } from 'commander';
import { sizeOf } from '../tensor';
import { loadClassifier } from './classifier';
import { report, type GlobalOptions } from './output';

export function configure(command: Command): void {
  command
    .argument('<model>', 'a folder that `convgrad train` wrote')
    .addHelpText('after', '\nExample:\n  $ convgrad summary model')
    .action(async (folder: string, options: GlobalOptions) => {
      const { model, classNames, size, training } = await loadClassifier(folder);
      const count = (tensors: Iterable<{ shape: readonly number[] }>): number =>
        [...tensors].reduce((total, { shape }) => total + sizeOf(shape), 0);
      const parameters = count(model.stateDict().values());
      const trainable = count(model.trainableParameters());
      const text = [
        model.summary(),
        '',
        `classes: ${classNames.join(', ')}`,
        `images: resized to ${size}×${size}, RGB, 0 … 1`,
        `trained: ${training.epochsDone} of ${training.settings.epochs} epochs`,
      ];
      report({ parameters, trainable, classNames, size, training }, text.join('\n'), options);
    });
}
