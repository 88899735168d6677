import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import type { Module } from '../nn';
import { sizeOf } from '../tensor';
import { loadModel } from '../train';
import { loadClassifier } from './classifier';
import { report, type GlobalOptions } from './output';

export function configure(command: Command): void {
  command
    .argument('<model>', 'a folder that `convgrad train` wrote, or a file that `model.save` wrote')
    .addHelpText('after', '\nExamples:\n  $ convgrad summary model\n  $ convgrad summary model.safetensors')
    .action(async (path: string, options: GlobalOptions) => {
      if ((await stat(path).catch(() => undefined))?.isFile()) {
        const model = await loadModel(path);
        report(sizesOf(model), model.summary(), options);
        return;
      }
      const { model, classNames, size, training } = await loadClassifier(path);
      const text = [
        model.summary(),
        '',
        `classes: ${classNames.join(', ')}`,
        `images: resized to ${size}×${size}, RGB, 0 … 1`,
        `trained: ${training.epochsDone} of ${training.settings.epochs} epochs`,
      ];
      report({ ...sizesOf(model), classNames, size, training }, text.join('\n'), options);
    });
}

function sizesOf(model: Module): { parameters: number; trainable: number } {
  const count = (tensors: Iterable<{ shape: readonly number[] }>): number =>
    [...tensors].reduce((total, { shape }) => total + sizeOf(shape), 0);
  return { parameters: count(model.stateDict().values()), trainable: count(model.trainableParameters()) };
}
