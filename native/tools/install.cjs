'use strict';

// Runs at `npm install`: nothing to do where a prebuilt addon loads, else builds from source.
// --dev (before the tests) always builds, which is quick when nothing changed. CONVGRAD_BUILD_FROM_SOURCE=1 does so too.

const path = require('node:path');
const loadAddon = require('node-gyp-build');
const { build } = require('./build.cjs');

const root = path.resolve(__dirname, '../..');

function whyNotLoaded() {
  try {
    loadAddon(root);
    return null;
  } catch (error) {
    return error.message.split('\n')[0];
  }
}

try {
  const asked = process.argv.includes('--dev') || Boolean(process.env.CONVGRAD_BUILD_FROM_SOURCE);
  const reason = asked ? 'asked to' : whyNotLoaded();
  if (reason) {
    console.log(`convgrad: building the addon from source (${reason})`);
    build();
    const failure = whyNotLoaded();
    if (failure) throw new Error(`the addon was built, but does not load: ${failure}`);
  }
} catch (error) {
  console.error(`convgrad: ${error.message}`);
  process.exit(1);
}
