import { InvalidArgumentError } from 'commander';

/** A parser for a whole number of at least `low`. */
export function integer(low: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < low) {
      throw new InvalidArgumentError(`It must be a whole number of at least ${low}.`);
    }
    return value;
  };
}

/** A parser for a number in [low, high). */
export function number(low: number, high = Infinity): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= low && value < high)) {
      throw new InvalidArgumentError(
        `It must be a number of at least ${low}${high === Infinity ? '' : ` and below ${high}`}.`,
      );
    }
    return value;
  };
}
