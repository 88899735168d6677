'use strict';

// Builds the addon in another way and runs the tests with it:  node scripts/variant.cjs NAME [vitest arguments]
// Each variant has a folder of its own, .cmake/NAME, laid out as node-gyp-build expects; CONVGRAD_PREBUILD leads there.

const { execFileSync, spawnSync } = require('node:child_process');
const path = require('node:path');
const { build } = require('../native/tools/build.cjs');

const variants = {
  // The 16-lane code of AVX-512, executed by AVX2.
  wide: { defines: ['CONVGRAD_WIDE_ON_AVX2=ON'], env: () => ({}) },
  // AddressSanitizer has to be the first library of the process, which is Node. Node itself leaks by design.
  sanitize: {
    defines: ['CONVGRAD_SANITIZE=ON'],
    env: () => ({
      LD_PRELOAD: execFileSync('c++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim(),
      ASAN_OPTIONS: 'detect_leaks=0',
      UBSAN_OPTIONS: 'print_stacktrace=1',
    }),
  },
};

const [name, ...vitestArguments] = process.argv.slice(2);
const variant = variants[name];
if (!variant) {
  console.error(`convgrad: unknown variant ${name}; there are ${Object.keys(variants).join(', ')}`);
  process.exit(2);
}

const root = path.resolve(__dirname, '..');
const folder = path.join(root, '.cmake', name);
build({ folder: name, defines: [...variant.defines, `CONVGRAD_OUTPUT_DIR=${folder}/build/Release`] });

const { status } = spawnSync(
  process.execPath,
  [path.join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--exclude=test/packaging', ...vitestArguments],
  { cwd: root, stdio: 'inherit', env: { ...process.env, ...variant.env(), CONVGRAD_PREBUILD: folder } },
);
process.exit(status ?? 1);
