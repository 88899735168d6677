#!/usr/bin/env bash
# Every way to start a build has to end in the one of CMakeLists.txt, with no download: an addon that loads.
set -euo pipefail
cd "$(dirname "$0")/.."

# A download fails at once, and headers that only this machine has are not found.
unset npm_config_nodedir
export npm_config_userconfig=/dev/null npm_config_offline=true http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9

check() {
  local addon=$1
  shift
  rm -f "$addon"
  echo "convgrad: $*"
  "$@" >.cmake/driver.log 2>&1 || { cat .cmake/driver.log && exit 1; }
  node -e "if (typeof require('./$addon') !== 'object') throw new Error('$addon exports nothing')"
}

mkdir -p .cmake
check build/Release/convgrad.node npx node-gyp rebuild
check build/Release/convgrad.node npx cmake-js build -O .cmake/cmake-js
check "prebuilds/$(node -p 'process.platform + "-" + process.arch')/convgrad.node" npm run prebuild
check build/Release/convgrad.node npm run build:native
