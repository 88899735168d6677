'use strict';

// Refuses to pack what would not run: a missing compilation, or a prebuild that failed and left an empty folder behind.
// npm starts this in the package's root.

const fs = require('node:fs');
const path = require('node:path');

const manifest = JSON.parse(fs.readFileSync('package.json', 'utf8'));
const problems = [];

const entries = Object.values(manifest.exports['.']).flatMap((condition) => Object.values(condition));
const named = [manifest.main, manifest.types, ...Object.values(manifest.bin), ...entries];
for (const file of new Set(named.map(path.normalize))) {
  if (!fs.existsSync(file)) problems.push(`${file} is missing: npm run compile`);
}

const folders = fs.existsSync('prebuilds') ? fs.readdirSync('prebuilds') : [];
if (folders.length === 0) problems.push('prebuilds/ is empty: npm run prebuild');
for (const folder of folders) {
  if (!fs.readdirSync(path.join('prebuilds', folder)).some((file) => file.endsWith('.node'))) {
    problems.push(`prebuilds/${folder} holds no .node file: npm run prebuild`);
  }
}

for (const problem of problems) console.error(`convgrad: ${problem}`);
process.exit(problems.length === 0 ? 0 : 1);
