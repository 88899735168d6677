import type { Machine } from '../../lib/bench/machine';
import type { Comparison, Entry } from './run';
import type { StartupReport } from './startup';

export interface Report {
  machine: Omit<Machine, 'threads'>;
  comparisons: Comparison[];
  startup?: StartupReport;
}

/** What a row of the table says. Ratios are times that convgrad is as fast. */
export interface Row {
  ours: Entry;
  fastest?: Entry;
  ratio?: number;
  eager?: Entry;
  eagerRatio?: number;
  gflops: number;
  shareOfPeak: number;
}

export function rowOf({ entries, flops, peak }: Comparison): Row {
  const isOurs = ({ library }: Entry): boolean => library === 'convgrad';
  const fastest = fastestOf(entries.filter((entry) => !isOurs(entry)));
  const ours = fastestOf(entries.filter(isOurs))!;
  const eager = entries.find(({ library, variant }) => library === 'PyTorch' && variant === 'eager');
  const gflops = flops / ours.ms / 1e6;
  return {
    ours,
    gflops,
    shareOfPeak: gflops / peak,
    ...(fastest && { fastest, ratio: fastest.ms / ours.ms }),
    ...(eager && { eager, eagerRatio: eager.ms / ours.ms }),
  };
}

function fastestOf(entries: readonly Entry[]): Entry | undefined {
  return [...entries].sort((a, b) => a.ms - b.ms)[0];
}

/** The rows of `old` that `measured` does not have anew, then those that it has; nothing of another machine. */
export function merge(old: Report | null, measured: Report): Report {
  if (!old || JSON.stringify(old.machine) !== JSON.stringify(measured.machine)) return measured;
  const key = ({ problem, threads }: Comparison): string => `${problem}, ${threads}`;
  const rows = new Map([...old.comparisons, ...measured.comparisons].map((row) => [key(row), row]));
  const startup = measured.startup ?? old.startup;
  return { machine: measured.machine, comparisons: [...rows.values()], ...(startup && { startup }) };
}

/** The report in Markdown, problems in the order of `titles`. */
export function markdown({ machine, comparisons, startup }: Report, titles: readonly string[]): string {
  const order = new Map(titles.map((title, index) => [title, index]));
  const sorted = [...comparisons].sort(
    (a, b) => b.threads - a.threads || (order.get(a.problem) ?? 1e9) - (order.get(b.problem) ?? 1e9),
  );
  const names = [...new Set(comparisons.flatMap(({ entries }) => entries.map(({ name }) => name)))];
  const threadCounts = [...new Set(sorted.map(({ threads }) => threads))];
  return (
    [
      '# convgrad beside other libraries',
      `${machine.processor}, ${machine.isa}, Node ${machine.node}; ${names.join(', ')}. Written by \`npm run bench:compare\`.`,
      'Medians in milliseconds; a ratio is how many times as fast convgrad is. GFLOP/s count the operations of direct convolutions: ' +
        "Winograd's makes do with fewer, so that a share of the peak may be above 100 %.",
      ...threadCounts.map((threads) =>
        section(
          threads,
          sorted.filter((row) => row.threads === threads),
        ),
      ),
      ...(startup ? [startupSection(startup)] : []),
      ...missingSection(comparisons, startup),
    ].join('\n\n') + '\n'
  );
}

function section(threads: number, comparisons: readonly Comparison[]): string {
  const peaks = comparisons.map(({ peak }) => peak).sort((a, b) => a - b);
  const rows = comparisons.map((comparison) => {
    const { ours, fastest, ratio, eager, eagerRatio, gflops, shareOfPeak } = rowOf(comparison);
    return [
      comparison.problem,
      milliseconds(ours.ms),
      fastest ? `${milliseconds(fastest.ms)} ${fastest.library} (${fastest.variant})` : '',
      ratio?.toFixed(2) ?? '',
      eager ? milliseconds(eager.ms) : '',
      eagerRatio?.toFixed(2) ?? '',
      gflops.toFixed(gflops < 10 ? 1 : 0),
      `${(100 * shareOfPeak).toFixed(0)} %`,
    ];
  });
  const header = ['problem', 'convgrad', 'fastest peer', 'ratio', 'PyTorch eager', 'ratio', 'GFLOP/s', 'of peak'];
  const range = [...new Set([peaks[0]!, peaks.at(-1)!].map((peak) => peak.toFixed(0)))].join(' to ');
  return [
    `## ${threads === 1 ? '1 thread' : `${threads} threads`}`,
    `The peak, measured beside each problem: ${range} GFLOP/s.`,
    table(header, rows),
  ].join('\n\n');
}

function startupSection({ scripts }: StartupReport): string {
  const empty = scripts.find(({ script }) => script === 'empty script');
  const rows = scripts.map(({ script, ms, megabytes }) => [
    script,
    ms.toFixed(0),
    empty ? (ms - empty.ms).toFixed(0) : '',
    megabytes.toFixed(0),
  ]);
  return [
    '## First prediction',
    'From `node script.js` to a prediction of the Keras CNN, read from a file.',
    table(['script', 'ms', 'over the empty script', 'resident MiB'], rows),
  ].join('\n\n');
}

function missingSection(comparisons: readonly Comparison[], startup: StartupReport | undefined): string[] {
  const reasons = new Map<string, Set<string>>();
  const add = (problem: string, missing: readonly { library: string; reason: string }[]): void => {
    for (const { library, reason } of missing) {
      const key = `${library}: ${reason}`;
      reasons.set(key, (reasons.get(key) ?? new Set()).add(problem));
    }
  };
  for (const { problem, missing } of comparisons) add(problem, missing);
  if (startup) add('First prediction', startup.missing);
  if (reasons.size === 0) return [];
  const lines = Array.from(reasons, ([reason, where]) => {
    const [first, ...others] = where;
    return `- ${reason} (${first}${others.length > 0 ? `, and ${others.length} more` : ''})`;
  });
  return ['## Missing', lines.join('\n')];
}

function milliseconds(ms: number): string {
  return ms.toFixed(ms < 1 ? 3 : ms < 100 ? 2 : 0);
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = header.map((_, i) => (i === 0 ? '---' : '---:'));
  return [header, rule, ...rows].map(line).join('\n');
}
