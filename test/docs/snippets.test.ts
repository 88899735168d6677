import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/files';
import { paintPhotos } from '../support/photos';

const root = resolve(__dirname, '../..');
const guide = readdirSync(join(root, 'docs/guide')).map((name) => `docs/guide/${name}`);
const pages = ['README.md', ...guide];

interface Snippet {
  language: string;
  code: string;
  /** `README.md, line 12` */
  place: string;
}

function snippetsOf(page: string): Snippet[] {
  const text = readFileSync(join(root, page), 'utf8');
  return Array.from(text.matchAll(/^```(\w+)\n(.*?)^```$/gms), ({ index, 1: language, 2: code }) => {
    const line = text.slice(0, index).split('\n').length;
    return { language: language!, code: code!, place: `${page}, line ${line}` };
  });
}

/** Type errors of programs, each a module of its own, as `place: message`. */
function typeErrors(snippets: readonly Snippet[]): string[] {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile) as { config: object };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  Object.assign(options, { noUnusedLocals: false, noEmit: true });
  const host = ts.createCompilerHost(options);
  const sources = new Map(snippets.map((snippet, i) => [join(root, `snippet-${i}.mts`), snippet]));
  const { fileExists, readFile } = host;
  host.fileExists = (path) => sources.has(path) || fileExists(path);
  host.readFile = (path) => sources.get(path)?.code ?? readFile(path);
  const getSourceFile = host.getSourceFile.bind(host);
  host.getSourceFile = (path, target, ...rest) => {
    const snippet = sources.get(path);
    return snippet ? ts.createSourceFile(path, snippet.code, target) : getSourceFile(path, target, ...rest);
  };
  const program = ts.createProgram([...sources.keys()], options, host);
  return [...sources].flatMap(([path, { place }]) =>
    ts
      .getPreEmitDiagnostics(program, program.getSourceFile(path))
      .map(({ messageText }) => `${place}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`),
  );
}

describe('the documentation', () => {
  test('has programs that fit the library', () => {
    const snippets = pages.flatMap(snippetsOf).filter(({ language }) => language === 'ts' || language === 'js');
    expect(snippets.length).toBeGreaterThan(5);
    expect(typeErrors(snippets)).toEqual([]);
  });

  test('has links that lead somewhere', () => {
    const broken = [...pages, 'docs/architecture.md', 'docs/adding-an-op.md', 'docs/building.md'].flatMap((page) =>
      Array.from(readFileSync(join(root, page), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g), ([, link]) => link!)
        .filter((link) => !statSync(resolve(root, dirname(page), link), { throwIfNoEntry: false }))
        .map((link) => `${page}: ${link}`),
    );
    expect(broken).toEqual([]);
  });
});

describe('the first program in the README', () => {
  const program = snippetsOf('README.md').find(({ language }) => language === 'js')!.code;

  test('has about twenty lines', () => {
    expect(program.trim().split('\n').length).toBeLessThanOrEqual(24);
  });

  test('runs as it stands, and trains', async () => {
    const folder = temporaryFolder();
    await paintPhotos(join(folder, 'photos'));
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(root, join(folder, 'node_modules/convgrad'), 'dir');
    writeFileSync(join(folder, 'train.mjs'), program);
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['train.mjs'], { cwd: folder });
    expect(stdout).toContain('Total params');
    expect(stderr).toMatch(/Epoch 10\/10 .*val_accuracy (0\.[89]|1\.)/);
    expect(statSync(join(folder, 'model.safetensors')).size).toBeGreaterThan(1000);
  });
});
