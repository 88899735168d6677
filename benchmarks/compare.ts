/**
 * convgrad beside other libraries: the same problems, in turns, in the same run.
 *
 *     npm run bench:compare                                            (everything, with all threads and with one)
 *     npm run bench:compare -- 'VGG16' --threads 1 --rounds 7          (problems by a part of their name)
 *
 * --check first makes sure that all libraries compute the same; --peers PyTorch,onnxruntime-node leaves others out.
 * CONVGRAD_PYTHON names a Python that has torch (and torchvision), CONVGRAD_PEERS a folder whose node_modules have the
 * packages of benchmarks/peers/package.json.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { machine } from '../lib/bench/machine';
import { peerCommands } from './compare/commands';
import { problemsNamed, titleOf, problems, type NetworkTask } from './compare/problems';
import { markdown, merge, type Report } from './compare/report';
import { compare } from './compare/run';
import { compareStartup, STARTUP } from './compare/startup';

async function main(): Promise<void> {
  const about = machine();
  const { values, positionals: words } = parseArgs({
    allowPositionals: true,
    options: {
      threads: { type: 'string', default: about.threads === 1 ? '1' : `${about.threads},1` },
      rounds: { type: 'string', default: '7' },
      budget: { type: 'string', default: '100' }, // milliseconds of a turn
      peers: { type: 'string' },
      check: { type: 'boolean', default: false },
    },
  });
  const chosen = values.peers?.split(',');
  const commands = peerCommands().filter(
    ({ library }) => !chosen || library === 'convgrad' || chosen.includes(library),
  );
  const [rounds, budget] = [Number(values.rounds), Number(values.budget)];
  const wantsStartup = words.length === 0 || words.some((word) => STARTUP.includes(word.toLowerCase()));
  const named = problemsNamed(words);
  if (named.length === 0 && !wantsStartup) throw new Error(`no problem has a name with ${words.join(' or ')}`);
  const { isa, processor, node } = about;
  const report: Report = { machine: { processor, isa, node }, comparisons: [] };
  for (const threads of values.threads.split(',').map(Number)) {
    for (const problem of named) {
      process.stderr.write(`${titleOf(problem)}, threads: ${threads}\n`);
      report.comparisons.push(await compare(problem, commands, { threads, rounds, budget, check: values.check }));
    }
  }
  if (wantsStartup) {
    process.stderr.write(`${STARTUP}\n`);
    const problem = problems.find(({ name }) => name === 'Keras CNN inference, batch 1') as NetworkTask;
    report.startup = await compareStartup(problem, commands, rounds);
  }
  await keep(report);
}

/** Prints the report, and puts it in the place of older measurements of the same machine. */
async function keep(report: Report): Promise<void> {
  const titles = problemsNamed(['']).map(titleOf);
  console.log(markdown(report, titles));
  const file = join(__dirname, 'results', `compare-${report.machine.isa}`);
  const old = await readFile(`${file}.json`, 'utf8').then(
    (text) => JSON.parse(text) as Report,
    () => null,
  );
  const merged = merge(old, report);
  await writeFile(`${file}.json`, `${JSON.stringify(merged, null, 1)}\n`);
  await writeFile(`${file}.md`, markdown(merged, titles));
  process.stderr.write(`written to benchmarks/results/compare-${report.machine.isa}.md and .json\n`);
}

main().catch((error: Error) => {
  console.error(`bench:compare: ${error.message}`);
  process.exitCode = 1;
});
