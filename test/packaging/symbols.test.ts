import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

// The linker keeps one copy of a weak symbol (an inline function, a template) for the whole addon. Were one to come from
// a file compiled for AVX-512, older machines would run it and die of an illegal instruction.
const objects = resolve('.cmake/Release/CMakeFiles');
const instructionSets = process.arch === 'arm64' ? ['neon'] : ['baseline', 'avx2', 'avx512'];

describe.each(instructionSets)('kernels compiled for %s', (name) => {
  const folder = join(objects, `convgrad_${name}.dir`);
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.o'));

  test('exist', () => {
    expect(files.length).toBeGreaterThan(0);
  });

  test.each(files)('%s defines no weak symbol', (file) => {
    const symbols = execFileSync('nm', ['--defined-only', '--demangle', join(folder, file)], { encoding: 'utf8' });
    const weak = symbols.split('\n').filter((line) => /^\S+ [VvWwu] /.test(line));
    expect(weak).toEqual([]);
  });
});
