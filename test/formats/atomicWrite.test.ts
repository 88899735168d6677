import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { recoverFolder, writeFileAtomic, writeFolderAtomic } from '../../lib/formats';
import { rejectionOf, temporaryFolder } from '../support/files';

describe('writeFileAtomic', () => {
  it('writes and replaces, from bytes and from chunks, and leaves nothing else', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'file');
    await writeFileAtomic(path, Buffer.from('one'));
    expect(readFileSync(path, 'utf8')).toBe('one');
    async function* chunks() {
      yield Buffer.from('t');
      yield Buffer.from('wo');
    }
    await writeFileAtomic(path, chunks());
    expect(readFileSync(path, 'utf8')).toBe('two');
    expect(readdirSync(folder)).toEqual(['file']);
  });

  it('keeps the old file, and no part of the new one, when the source fails', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'file');
    await writeFileAtomic(path, Buffer.from('old'));
    async function* chunks() {
      yield Buffer.from('new');
      throw new Error('the disk is on fire');
    }
    expect((await rejectionOf(writeFileAtomic(path, chunks()))).message).toBe('the disk is on fire');
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(readdirSync(folder)).toEqual(['file']);
  });

  it('rejects when the folder is not there', async () => {
    const error = await rejectionOf(writeFileAtomic(join(temporaryFolder(), 'no', 'file'), Buffer.from('x')));
    expect(error.code).toBe('ENOENT');
  });
});

describe('writeFolderAtomic', () => {
  const fill = (text: string) => async (folder: string) => {
    await writeFile(join(folder, 'a'), text);
    mkdirSync(join(folder, 'inner'));
    await writeFile(join(folder, 'inner', 'b'), text);
  };

  it('replaces the whole folder and leaves nothing else', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    await writeFolderAtomic(path, fill('one'));
    writeFileSync(join(path, 'stray'), '');
    await writeFolderAtomic(path, fill('two'));
    expect(readdirSync(path).sort()).toEqual(['a', 'inner']);
    expect(readFileSync(join(path, 'inner', 'b'), 'utf8')).toBe('two');
    expect(readdirSync(folder)).toEqual(['model']);
  });

  it('keeps the old folder when filling fails', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    await writeFolderAtomic(path, fill('one'));
    const failing = writeFolderAtomic(path, async (temporary) => {
      await fill('two')(temporary);
      throw new Error('no');
    });
    expect((await rejectionOf(failing)).message).toBe('no');
    expect(readFileSync(join(path, 'a'), 'utf8')).toBe('one');
    expect(readdirSync(folder)).toEqual(['model']);
  });

  it('is recovered from a crash between the two renames, and ignores leftovers of one after them', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    await writeFolderAtomic(path, fill('one'));
    renameSync(path, join(folder, '.model.old'));
    await recoverFolder(path);
    expect(readFileSync(join(path, 'a'), 'utf8')).toBe('one');

    renameSync(path, join(folder, '.model.old'));
    await writeFolderAtomic(path, fill('two'));
    mkdirSync(join(folder, '.model.old'));
    await recoverFolder(path);
    expect(readFileSync(join(path, 'a'), 'utf8')).toBe('two');
    await writeFolderAtomic(path, fill('three'));
    expect(readFileSync(join(path, 'a'), 'utf8')).toBe('three');
    expect(readdirSync(folder)).toEqual(['model']);
  });

  it('recovers nothing where there is nothing', async () => {
    const path = join(temporaryFolder(), 'model');
    await recoverFolder(path);
    expect(existsSync(path)).toBe(false);
  });
});

describe('a killed writer', () => {
  it('leaves a whole file and a whole folder, of one generation', async () => {
    const folder = temporaryFolder();
    for (let round = 0; round < 6; ++round) {
      const writer = spawn(process.execPath, ['--import', 'tsx', join(__dirname, 'atomicWriter.ts'), folder], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(writer.stdout, 'data');
      await setTimeout(Math.random() * 30);
      writer.kill('SIGKILL');
      await once(writer, 'exit');

      const checkpoint = join(folder, 'checkpoint');
      await recoverFolder(checkpoint);
      const file = readFileSync(join(folder, 'file'));
      const weights = readFileSync(join(checkpoint, 'weights'));
      expect(file.equals(Buffer.alloc(300_000, file[0]))).toBe(true);
      expect(weights.equals(Buffer.alloc(300_000, weights[0]))).toBe(true);
      expect(readFileSync(join(checkpoint, 'state')).equals(weights)).toBe(true);
    }
  });
});
