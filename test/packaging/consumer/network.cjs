// Trains a network of two convolutions to tell vertical stripes from horizontal ones, and returns the losses.
module.exports = function train({ nn, optim, crossEntropy, setSeed, tensor }) {
  setSeed(1);
  const stripes = (vertical) =>
    Array.from({ length: 8 }, (_, y) => Array.from({ length: 8 }, (_, x) => [(vertical ? x : y) % 2]));
  const images = tensor([stripes(true), stripes(false)]);
  const labels = tensor(new Int32Array([0, 1]));
  const model = new nn.Sequential(
    new nn.Conv2d(1, 4, { kernelSize: 3, padding: 1 }),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Conv2d(4, 8, { kernelSize: 3, padding: 1 }),
    new nn.ReLU(),
    new nn.Flatten(),
    new nn.Linear(8 * 4 * 4, 2),
  );
  const optimizer = new optim.Adam(model.parameters(), { lr: 0.01 });
  return Array.from({ length: 20 }, () => {
    optimizer.zeroGrad();
    const loss = crossEntropy(model(images), labels);
    loss.backward();
    optimizer.step();
    return loss.item();
  });
};
