'use strict';

// Builds the addon with CMake:  node native/tools/build.cjs [--config Release|Debug] [--arch x64|arm64]
// CMake works in .cmake/, since node-gyp owns build/ and empties it at will; the addon lands in build/<config>/.

const { spawnSync } = require('node:child_process');
const os = require('node:os');
const path = require('node:path');
const { parseArgs } = require('node:util');

const root = path.resolve(__dirname, '../..');

function cmake(args) {
  const { status, error } = spawnSync('cmake', args, { cwd: root, stdio: 'inherit' });
  if (error?.code === 'ENOENT')
    throw new Error('cmake was not found on PATH. Install cmake 3.19 or later and a C++20 compiler.');
  if (error) throw error;
  if (status !== 0) throw new Error(`cmake ${args.join(' ')} failed with exit code ${status}`);
}

function build({ config = 'Release', arch = process.arch } = {}) {
  if (arch !== process.arch && !process.env.CMAKE_TOOLCHAIN_FILE) {
    throw new Error(`to build for ${arch} on ${process.arch}, name a CMake toolchain file in CMAKE_TOOLCHAIN_FILE`);
  }
  const folder = path.join('.cmake', arch === process.arch ? config : `${config}-${arch}`);
  const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(os.availableParallelism());
  cmake(['-S', '.', '-B', folder, `-DCMAKE_BUILD_TYPE=${config}`]);
  cmake(['--build', folder, '--parallel', jobs]);
}

module.exports = { build };

if (require.main === module) {
  try {
    build(parseArgs({ options: { config: { type: 'string' }, arch: { type: 'string' } } }).values);
  } catch (error) {
    console.error(`convgrad: ${error.message}`);
    process.exit(1);
  }
}
