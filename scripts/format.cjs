'use strict';

// clang-format over every C++ and CUDA source that git knows:  node scripts/format.cjs --check | --write

const { execFileSync, spawnSync } = require('node:child_process');
const path = require('node:path');

const root = path.resolve(__dirname, '..');
const clangFormat = process.env.CLANG_FORMAT ?? 'clang-format';
const patterns = ['cpp', 'h', 'cu', 'cuh'].map((extension) => `*.${extension}`);

const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard', ...patterns], {
  cwd: root,
  encoding: 'utf8',
});
const files = listed.split('\0').filter(Boolean);

if (files.length > 0) {
  const mode = process.argv.includes('--write') ? ['-i'] : ['--dry-run', '--Werror'];
  const { status, error } = spawnSync(clangFormat, [...mode, ...files], { cwd: root, stdio: 'inherit' });
  if (error)
    console.error(`convgrad: cannot run ${clangFormat} (${error.message}); install it, or name it in CLANG_FORMAT`);
  process.exit(status ?? 1);
}
