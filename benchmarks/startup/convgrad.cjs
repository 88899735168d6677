// From an empty process to a prediction: node convgrad.cjs keras-cnn.safetensors
const { loadModel, zeros } = require('convgrad');

async function main() {
  const model = await loadModel(process.argv[2]);
  const y = await model.predict(zeros([1, 32, 32, 3]));
  await y.data();
  console.log(JSON.stringify({ rss: process.memoryUsage.rss() }));
}

main();
