/** Measures convgrad on this machine: npm run bench -- [ops] [train] */
import { benchNetworks, benchOps, networksTable, opsTable } from '../lib/bench';
import { writeResult } from './results';

async function main(): Promise<void> {
  const asked = process.argv.slice(2);
  const wants = (what: string): boolean => asked.length === 0 || asked.includes(what);
  const dot = (): void => void process.stderr.write('.');
  if (wants('ops')) {
    const report = await benchOps({}, dot);
    console.log(`\n${opsTable(report)}`);
    await writeResult('ops', report);
  }
  if (wants('train')) {
    const report = await benchNetworks({}, dot);
    console.log(`\n${networksTable(report)}`);
    await writeResult('train', report);
  }
}

main().catch((error: Error) => {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});
