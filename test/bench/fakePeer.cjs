// A peer of the benchmarks that behaves as its arguments say: node fakePeer.cjs NAME BEHAVIOUR...
const { writeFileSync } = require('node:fs');
const { createInterface } = require('node:readline');

const [name, ...behaviours] = process.argv.slice(2);
const does = (behaviour) => behaviours.includes(behaviour);
let turns = 0;

const answers = {
  prepare({ folder }) {
    if (does('is unsupported')) return { name, unsupported: 'not today' };
    if (does('crashes at once')) {
      console.error('no such library');
      process.exit(3);
    }
    writeFileSync(`${folder}/${name}`, '');
    return { name: `${name} 1.0`, variants: does('is varied') ? ['plain', 'quick', 'slow', 'broken'] : ['only'] };
  },
  measure({ variant }) {
    turns++;
    if (does('crashes later') && turns > 2) process.exit(0);
    if (does('says nonsense')) return 'fast!';
    if (does('lies')) return { ms: -1 };
    if (does('hangs')) return null;
    if (variant === 'broken') return { error: 'cannot' };
    return { ms: { only: 4, plain: 10, quick: 2, slow: 3 }[variant] + 0.1 * (turns % 3) };
  },
  peak: () => ({ gflops: 100 }),
  flops: () => ({ flops: 1e8 }),
  example: () => ({}),
  check: () => ({ distance: does('is wrong') ? 0.5 : does('gives NaN') ? null : 1e-6 }),
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const { do: verb, ...request } = JSON.parse(line);
  const answer = answers[verb](request);
  if (answer !== null) console.log(typeof answer === 'string' ? answer : JSON.stringify(answer));
});
