/** For how long the event loop served nothing else, in milliseconds. A loop that is always free gives about 1. */
export interface Blocks {
  longest: number;
  /** 99 of 100 are shorter. */
  p99: number;
}

/** Watches the event loop with a timer that is due every millisecond while `body` runs. */
export async function measureBlocks(body: () => Promise<unknown>): Promise<Blocks> {
  const blocks: number[] = [];
  let last = performance.now();
  const look = (): void => {
    const now = performance.now();
    blocks.push(now - last);
    last = now;
  };
  const timer = setInterval(look, 1);
  try {
    await body();
  } finally {
    clearInterval(timer);
  }
  look(); // a block at the end that no timer saw
  blocks.sort((a, b) => a - b);
  return { longest: blocks.at(-1)!, p99: blocks[Math.floor(blocks.length * 0.99)]! };
}
