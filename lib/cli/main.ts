#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { fail } from './output';
import { packageVersion } from './package';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

interface Verb {
  /** Gives the command its arguments, options, help and action. */
  configure(command: Command): void;
}

/** What each verb needs is loaded with it: help comes at once, and `doctor` works where the addon does not load. */
const verbs: readonly [usage: string, summary: string, load: () => Promise<Verb>][] = [
  ['train DIR', 'train a classifier on a folder with a folder of images for each class', () => import('./train.js')],
  ['evaluate MODEL DIR', 'hold a model against a folder of images', () => import('./evaluate.js')],
  ['predict MODEL IMAGE…', 'say what images show', () => import('./predict.js')],
  ['summary MODEL', "print a model's layers", () => import('./summary.js')],
  ['bench [ops|train]', 'measure ops and training on this machine', () => import('./bench.js')],
  ['doctor', 'say which binary, instruction set, threads and devices are used, and why', () => import('./doctor.js')],
];

async function program(argv: readonly string[], json: boolean): Promise<Command> {
  const root = new Command('convgrad')
    .description('Train, evaluate and use convolutional networks, on folders of images.')
    .usage('COMMAND [options]')
    .version(packageVersion(), '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help COMMAND', 'print the help of a command')
    .configureHelp({ subcommandTerm: (command) => usageOf(command.name()), showGlobalOptions: false })
    .addHelpText('after', '\nExit codes: 0 all went well, 1 the command failed, 2 the command line was wrong.')
    .showHelpAfterError(json ? false : '(--help shows what there is)')
    .configureOutput({
      outputError: (text, write) => (json ? undefined : write(text.replace(/^error: /, 'convgrad: '))),
    })
    // Given before the command, it is the program's own option.
    .hook('preAction', (_, command) => void command.setOptionValue('json', json))
    .exitOverride();
  for (const [usage, summary, load] of verbs) {
    const command = root.command(nameOf(usage)).description(summary);
    if (argv.includes(nameOf(usage))) (await load()).configure(command);
  }
  for (const command of [root, ...root.commands]) {
    command.option('--json', 'print one JSON object on stdout instead of text');
  }
  return root;
}

const nameOf = (usage: string): string => usage.split(' ')[0]!;
const usageOf = (name: string): string => verbs.find(([usage]) => nameOf(usage) === name)?.[0] ?? name;

/** Runs a command line and returns the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  // Commander does not know it yet when it rejects a command line.
  const json = argv.includes('--json');
  try {
    await (await program(argv, json)).parseAsync(argv, { from: 'user' });
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
