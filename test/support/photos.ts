import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';

const colours = { red: [220, 40, 40], green: [40, 200, 60], blue: [50, 60, 220] } as const;

/** Writes a folder with a folder of PNG images for each class: noisy squares of one colour. */
export async function paintPhotos(folder: string, { perClass = 10, size = 24, seed = 1 } = {}): Promise<string> {
  let state = seed;
  const noise = (): number => (state = (state * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
  for (const [name, colour] of Object.entries(colours)) {
    mkdirSync(join(folder, name), { recursive: true });
    for (let i = 0; i < perClass; i++) {
      const pixels = Uint8Array.from({ length: size * size * 3 }, (_, at) => colour[at % 3]! * (0.5 + 0.5 * noise()));
      const image = sharp(pixels, { raw: { width: size, height: size, channels: 3 } });
      await image.png().toFile(join(folder, name, `${String(i).padStart(2, '0')}.png`));
    }
  }
  return folder;
}
