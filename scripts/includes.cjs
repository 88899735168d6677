'use strict';

// Checks the direction of C++ includes:  addon -> cpu | cuda -> core. cpu and cuda never see each other, core sees
// neither, kernels see only what is safe to compile for several instruction sets, and Node's headers stay in addon.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const root = path.resolve(__dirname, '..');
const node = /^<(napi|node_api|js_native_api|node|v8|uv)\b/;
const rules = [
  { folder: 'native/addon/', forbidden: [] },
  { folder: 'native/cpu/', forbidden: [/^"cuda\//, /^"addon\//, node] },
  { folder: 'cuda/', forbidden: [/^"cpu\//, /^"addon\//, node] },
  { folder: 'native/', forbidden: [/^"cpu\//, /^"cuda\//, /^"addon\//, node] },
];

const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', 'native', 'cuda'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => /\.(cpp|h|inc|cu|cuh)$/.test(file));

let failures = 0;
for (const file of files) {
  const { forbidden } = rules.find(({ folder }) => file.startsWith(folder));
  const source = fs.readFileSync(path.join(root, file), 'utf8');
  for (const [, included] of source.matchAll(/^\s*#\s*include\s+(\S+)/gm)) {
    if (forbidden.some((pattern) => pattern.test(included))) {
      console.error(`${file}: must not include ${included}`);
      failures++;
    }
  }
}
process.exit(failures === 0 ? 0 : 1);
