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
  if (error?.code === 'ENOENT') {
    throw new Error('cmake was not found on PATH. Install cmake 3.19 or later and a C++20 compiler.');
  }
  if (error) throw error;
  if (status !== 0) throw new Error(`cmake ${args.join(' ')} failed`);
}

/**
 * Configures and builds in `.cmake/<folder>`; both are quick when nothing changed. `defines` are CMake's -D options
 * (`['CONVGRAD_SANITIZE=ON']`). Throws an Error that says what went wrong and what to install.
 */
function build({ config = 'Release', arch = process.arch, folder = config, defines = [] } = {}) {
  if (arch !== process.arch) {
    if (!process.env.CMAKE_TOOLCHAIN_FILE) {
      throw new Error(`to build for ${arch} on ${process.arch}, name a CMake toolchain file in CMAKE_TOOLCHAIN_FILE`);
    }
    folder += `-${arch}`;
  }
  const binary = path.join('.cmake', folder);
  const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(os.availableParallelism());
  const options = [`CMAKE_BUILD_TYPE=${config}`, ...defines].map((define) => `-D${define}`);
  cmake(['-S', '.', '-B', binary, ...options]);
  cmake(['--build', binary, '--parallel', jobs]);
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
