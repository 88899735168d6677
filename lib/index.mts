// ESM users get the very same classes as CommonJS users: this re-exports the one CommonJS build.
export * from './index.js';
