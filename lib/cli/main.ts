#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { addDoctor } from './doctor';
import { fail } from './output';
import { packageVersion } from './package';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** A verb loads what it needs when it runs: help comes at once, and `doctor` works where the addon does not load. */
const verbs = [addDoctor];

function program(json: boolean): Command {
  const root = new Command('convgrad')
    .description('Train, evaluate and use convolutional networks, on folders of images.')
    .version(packageVersion(), '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print help; `convgrad help COMMAND` prints that of a command')
    .addHelpText(
      'after',
      '\nEvery command takes --json.\nExit codes: 0 all went well, 1 the command failed, 2 the command line was wrong.',
    )
    .showHelpAfterError(json ? false : '(--help shows the options)')
    .configureOutput({
      outputError: (text, write) => (json ? undefined : write(text.replace(/^error: /, 'convgrad: '))),
    })
    .exitOverride();
  for (const add of verbs) add(root);
  for (const command of [root, ...root.commands]) command.option('--json', 'print one JSON object instead of text');
  // Given before the command, it is the program's own option.
  root.hook('preAction', (_, command) => void command.setOptionValue('json', json));
  return root;
}

/** Runs a command line and returns the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  // Commander does not know it yet when it rejects a command line.
  const json = argv.includes('--json');
  try {
    await program(json).parseAsync(argv, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      fail(error, { json });
      return EXIT_FAILED;
    }
    if (error.exitCode === 0) return 0; // help and version come this way, too
    if (json) fail({ code: 'ERR_USAGE', message: error.message.replace(/^error: /, '') }, { json });
    return EXIT_USAGE;
  }
}

if (require.main === module) {
  void main(process.argv.slice(2)).then((code) => {
    process.exitCode = code;
  });
}
