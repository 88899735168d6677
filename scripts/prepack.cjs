'use strict';

// Refuses to pack what would not run: a missing compilation, or a prebuild that failed and left an empty folder behind.

const fs = require('node:fs');
const path = require('node:path');

const root = path.resolve(__dirname, '..');
const problems = [];

for (const file of ['dist/index.js', 'dist/index.mjs', 'dist/index.d.ts', 'dist/index.d.mts', 'dist/cli/main.js']) {
  if (!fs.existsSync(path.join(root, file))) problems.push(`${file} is missing: npm run compile`);
}

const prebuilds = path.join(root, 'prebuilds');
const folders = fs.existsSync(prebuilds) ? fs.readdirSync(prebuilds) : [];
if (folders.length === 0) problems.push('prebuilds/ is empty: npm run prebuild');
for (const folder of folders) {
  if (!fs.readdirSync(path.join(prebuilds, folder)).some((file) => file.endsWith('.node'))) {
    problems.push(`prebuilds/${folder} holds no .node file: npm run prebuild`);
  }
}

for (const problem of problems) console.error(`convgrad: ${problem}`);
process.exit(problems.length === 0 ? 0 : 1);
