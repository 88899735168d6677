// From an empty process to a prediction: node onnxruntime.cjs keras-cnn.onnx
const { createRequire } = require('node:module');
const { join } = require('node:path');

const peers = process.env.CONVGRAD_PEERS ?? join(__dirname, '..', 'peers');
const ort = createRequire(join(peers, 'package.json'))('onnxruntime-node');

async function main() {
  const session = await ort.InferenceSession.create(process.argv[2], { intraOpNumThreads: 2 });
  await session.run({ x: new ort.Tensor('float32', new Float32Array(3 * 32 * 32), [1, 3, 32, 32]) });
  console.log(JSON.stringify({ rss: process.memoryUsage.rss() }));
}

main();
