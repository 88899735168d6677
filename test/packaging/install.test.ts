import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Installation, platform } from './installed';

const root = resolve(__dirname, '../..');

describe('a packed tarball with a prebuilt addon, on a machine without a compiler', () => {
  let installation: Installation;
  beforeAll(() => {
    installation = new Installation({ prebuilt: true });
    cpSync(join(__dirname, 'consumer'), installation.folder, { recursive: true });
  });
  afterAll(() => installation.remove());

  test('has no compiler, indeed', () => {
    expect(() => installation.run('c++')).toThrow('ENOENT');
    expect(installation.run('sh', '-c', 'cmake --version').status).not.toBe(0);
  });

  test('installs without building', () => {
    const { status, output } = installation.runInstallScripts();
    expect(output).not.toContain('building');
    expect(status, output).toBe(0);
  });

  test('brings no development files', () => {
    const files = readdirSync(installation.convgrad);
    expect(files).toContain('dist');
    for (const folder of ['lib', 'test', 'scripts', 'build', '.cmake']) expect(files).not.toContain(folder);
  });

  test('is one and the same for import and require', () => {
    const { status, output } = installation.run('node', 'load.cjs');
    expect(output).toBe('loaded\n');
    expect(status).toBe(0);
  });

  test('trains, by import as by require', () => {
    const [losses, again] = ['train.cjs', 'train.mjs'].map((program) => {
      const { status, output } = installation.run('node', program);
      expect(status, output).toBe(0);
      return JSON.parse(output) as number[];
    });
    expect(losses!.at(-1)! < 0.5 * losses![0]!, `losses ${losses}`).toBe(true);
    expect(again).toEqual(losses);
  });

  test('brings the command line program, which says that it uses the prebuilt addon', () => {
    const { status, output } = installation.run('npm', 'exec', '--silent', '--', 'convgrad', 'doctor', '--json');
    expect(status, output).toBe(0);
    const { binary } = JSON.parse(output) as { binary: { path: string } };
    expect(binary.path).toBe(join(realpathSync(installation.convgrad), 'prebuilds', platform, 'convgrad.node'));
  });

  test('has types for import and require', () => {
    const types = join(installation.folder, 'node_modules/@types');
    mkdirSync(types, { recursive: true });
    symlinkSync(join(root, 'node_modules/@types/node'), join(types, 'node'));
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const { stdout, status } = spawnSync(process.execPath, [tsc, '-p', installation.folder], { encoding: 'utf8' });
    expect(stdout).toBe('');
    expect(status).toBe(0);
  });

  const guard = () =>
    spawnSync(process.execPath, [join(root, 'scripts/prepack.cjs')], { cwd: installation.convgrad, encoding: 'utf8' });

  test('is whole, for the guard before packing', () => {
    const { status, stderr } = guard();
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  test('is refused by that guard without its addon, as after a prebuild that failed', () => {
    rmSync(join(installation.convgrad, 'prebuilds', platform, 'convgrad.node'));
    const { status, stderr } = guard();
    expect(stderr).toContain(`prebuilds/${platform} holds no .node file`);
    expect(status).toBe(1);
  });
});

describe('a packed tarball without a prebuilt addon', () => {
  let installation: Installation;
  beforeAll(() => {
    installation = new Installation({ prebuilt: false });
  });
  afterAll(() => installation.remove());

  test('says what to install where cmake is missing', () => {
    const { status, output } = installation.runInstallScripts();
    expect(status).not.toBe(0);
    expect(output).toContain('No native build was found');
    expect(output).toContain('cmake was not found on PATH. Install cmake 3.19 or later and a C++20 compiler.');
  });

  test('has all that a build from source needs', () => {
    const output = execFileSync('cmake', ['-S', '.', '-B', '.cmake/Release'], {
      cwd: installation.convgrad,
      encoding: 'utf8',
    });
    expect(output).toContain('Build files have been written');
  });
});
