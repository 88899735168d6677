/**
 * A program for atomicWrite.test.ts to kill: writes generation after generation of a file and of a folder of two files,
 * each full of its number. The file is large, so that it is likely to be hit.
 */
import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { writeFileAtomic, writeFolderAtomic } from '../../lib/formats/atomicWrite';

const [, , folder = ''] = process.argv;

async function main(): Promise<void> {
  for (let generation = 0; ; ++generation) {
    const contents = Buffer.alloc(300_000, generation % 256);
    await writeFileAtomic(join(folder, 'file'), contents);
    await writeFolderAtomic(join(folder, 'checkpoint'), async (path) => {
      await writeFile(join(path, 'weights'), contents);
      await writeFile(join(path, 'state'), contents);
    });
    if (generation === 0) process.stdout.write('started\n');
  }
}

void main();
