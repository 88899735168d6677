'use strict';

// Removes everything that a build makes.

const fs = require('node:fs');
const path = require('node:path');

for (const folder of ['.cmake', 'build', 'dist', 'prebuilds']) {
  fs.rmSync(path.resolve(__dirname, '..', folder), { recursive: true, force: true });
}
