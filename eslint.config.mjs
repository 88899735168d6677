import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

// lib/ in layers: a file imports from its own layer and from those to the left of it, never from the right. Types may be
// imported from anywhere, since they are gone at run time.
const layers = [
  ['errors', 'native'],
  ['tensor', 'memory', 'device', 'precision', 'random', 'provenance'],
  ['autograd'],
  ['capture'],
  ['ops'],
  ['data', 'optim', 'nn', 'layers', 'formats'],
  ['train', 'applications'],
  ['bench'],
  ['cli'],
];

function importsOf(layer, index) {
  const higher = layers.slice(index + 1).flat();
  const restrict = (files, prefix) => ({
    files,
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: `^${prefix}(${[...higher, 'index'].join('|')})(\\.js|/|$)`,
              message: `lib/${layer[0]} is below that layer (see the layers in eslint.config.mjs).`,
              allowTypeImports: true,
            },
          ],
        },
      ],
    },
  });
  return [
    restrict(
      layer.map((name) => `lib/${name}.ts`),
      '\\./',
    ),
    restrict(
      layer.map((name) => `lib/${name}/**`),
      '(\\.\\./)+',
    ),
  ];
}

export default defineConfig(
  globalIgnores(['.cmake', 'build', 'coverage', 'dist', 'docs/api', 'prebuilds', 'test/packaging/consumer']),
  js.configs.recommended,
  {
    files: ['**/*.{ts,mts}'],
    extends: [tseslint.configs.recommended],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  {
    files: ['**/*.cjs'],
    languageOptions: {
      globals: {
        require: 'readonly',
        module: 'writable',
        __dirname: 'readonly',
        process: 'readonly',
        console: 'readonly',
      },
    },
  },
  layers.flatMap(importsOf),
);
