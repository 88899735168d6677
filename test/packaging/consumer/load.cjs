const assert = require('node:assert');
const convgrad = require('convgrad');

(async () => {
  const imported = await import('convgrad');
  for (const name of Object.keys(convgrad)) assert.strictEqual(imported[name], convgrad[name], name);
  for (const [name, value] of Object.entries({
    ...convgrad,
    ...convgrad.nn,
    ...convgrad.optim,
    ...convgrad.callbacks,
  })) {
    if (/^[A-Z]/.test(name)) assert.strictEqual(value.name, name); // bundling keeps the names that messages and files have
  }
  const x = convgrad.tensor([-1, 2]);
  assert(x instanceof imported.Tensor);
  assert.deepStrictEqual(await imported.relu(x).array(), [0, 2]);
  console.log('loaded');
})();
