import { setImmediate } from 'node:timers/promises';

/** Work is interrupted after this many milliseconds, well below what a user of a server would notice. */
const LONGEST_TURN = 5;
/** Looking at the clock costs more than a piece of work. */
const PIECES_BETWEEN_LOOKS = 256;

/**
 * Calls `piece(begin, end)` for all of [0, count) in runs of at most `grain`, and gives the event loop a turn whenever
 * that has taken a few milliseconds.
 */
export async function inTurns(
  count: number,
  piece: (begin: number, end: number) => void,
  grain = PIECES_BETWEEN_LOOKS,
): Promise<void> {
  let began = performance.now();
  for (let begin = 0; begin < count; begin += grain) {
    piece(begin, Math.min(begin + grain, count));
    if (performance.now() - began < LONGEST_TURN) continue;
    await setImmediate();
    began = performance.now();
  }
}
