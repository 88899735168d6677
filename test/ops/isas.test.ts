import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { deviceInfo } from '../../lib';
import { availableIsas, runUnderIsa } from '../support/isas';

// Every other test of this folder again, under each instruction set that this machine has beside the one in use.
describe.skipIf(process.env['CONVGRAD_TEST_NESTED'])('instruction sets', () => {
  const others = availableIsas.filter((isa) => isa !== deviceInfo().isa);
  for (const isa of others) {
    it(`the op tests pass under ${isa}`, { timeout: 600_000 }, () => runUnderIsa(isa, 'test/ops/'));
  }
  it('there is a folder of op tests to run', ({ expect }) => {
    expect(readdirSync(join(__dirname)).filter((name) => name.endsWith('.test.ts')).length).toBeGreaterThan(1);
  });
});
