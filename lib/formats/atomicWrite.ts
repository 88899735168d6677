import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

/** Bytes to write: at once, or chunk by chunk. */
export type Chunks = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/**
 * Writes a file so that a crash at any moment leaves either the old contents or the new ones, never a part: the bytes go
 * to a temporary file in the same folder, reach the disk (fsync), and take the name in one rename. Whoever reads at that
 * time sees the one or the other. When writing fails, the temporary file is removed and the old file stays.
 */
export async function writeFileAtomic(path: string, contents: Chunks): Promise<void> {
  const temporary = temporaryName(path);
  try {
    const file = await open(temporary, 'wx');
    try {
      for await (const chunk of contents instanceof Uint8Array ? [contents] : contents) await file.writeFile(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/**
 * Replaces a folder by what `fill` writes into an empty one, so that a crash leaves the old folder whole or the new one.
 * `fill` gets the path of the new folder; its files reach the disk before the folder takes the name. When `fill` fails,
 * the old folder stays.
 *
 * No call of Node's exchanges two folders, so the old one is set aside as `.NAME.old` first and deleted last. A crash
 * between the two renames leaves only that: readers call `recoverFolder` first. One process may write at a time.
 */
export async function writeFolderAtomic(path: string, fill: (folder: string) => Promise<void>): Promise<void> {
  const target = resolve(path);
  const temporary = temporaryName(target);
  const aside = asideName(target);
  await recoverFolder(target);
  try {
    await mkdir(temporary);
    await fill(temporary);
    await syncTree(temporary);
    // The target is whole here, so what still lies aside is left from a crash after an exchange.
    await rm(aside, { recursive: true, force: true });
    if (await exists(target)) await rename(target, aside);
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    await recoverFolder(target);
    throw error;
  }
  await syncFolder(dirname(target));
  await rm(aside, { recursive: true, force: true });
}

/** Brings back the folder that a crash in the middle of `writeFolderAtomic` left set aside. Otherwise does nothing. */
export async function recoverFolder(path: string): Promise<void> {
  const target = resolve(path);
  if (!(await exists(target)) && (await exists(asideName(target)))) await rename(asideName(target), target);
}

function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}-${crypto.randomUUID().slice(0, 8)}.tmp`);
}

function asideName(path: string): string {
  return join(dirname(path), `.${basename(path)}.old`);
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else await sync(path, 'r+');
  }
  await syncFolder(folder);
}

/** Makes the renames in a folder durable. Windows cannot open folders, and needs no such call. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform !== 'win32') await sync(folder, 'r');
}

async function sync(path: string, flags: 'r' | 'r+'): Promise<void> {
  const file = await open(path, flags);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
