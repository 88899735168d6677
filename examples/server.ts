/**
 * An HTTP server that says what images show. Predictions run natively: the event loop serves other requests meanwhile.
 *
 *     npx convgrad train photos --out model
 *     npx tsx examples/server.ts --model model --port 3000
 *     curl --data-binary @photo.jpg localhost:3000
 */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { ConvgradError, data, loadModel, tensor } from 'convgrad';

const MOST_BYTES = 20e6;

const { values: options } = parseArgs({
  options: { model: { type: 'string', default: 'model' }, port: { type: 'string', default: '3000' } },
});

/** A folder that `convgrad train` wrote. */
async function load(folder: string) {
  const { classNames, size } = JSON.parse(await readFile(join(folder, 'classifier.json'), 'utf8')) as {
    classNames: string[];
    size: number;
  };
  const model = await loadModel(join(folder, 'model.safetensors'));
  return async (image: Uint8Array): Promise<Record<string, number>> => {
    const { data: pixels } = await data.decodePixels(image, { size });
    using x = tensor(
      Float32Array.from(pixels, (byte) => byte / 255),
      [1, size, size, 3],
    );
    using y = await model.predict(x);
    const probabilities = await y.data();
    return Object.fromEntries(classNames.map((name, i) => [name, probabilities[i]!]));
  };
}

async function body(request: IncomingMessage): Promise<Uint8Array> {
  if (Number(request.headers['content-length'] ?? Infinity) > MOST_BYTES) {
    throw new ConvgradError(
      'ERR_FORMAT',
      `an image must be sent with its length, and have at most ${MOST_BYTES} bytes`,
    );
  }
  return await buffer(request);
}

async function main(): Promise<void> {
  const predict = await load(options.model);
  const server = createServer((request, response) => {
    const answer = (status: number, result: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(result)}\n`);
    };
    body(request)
      .then(predict)
      .then(
        (probabilities) => answer(200, probabilities),
        (error: Error) => answer(error instanceof ConvgradError ? 400 : 500, { error: error.message }),
      );
  });
  server.listen(Number(options.port), () => console.log(`listening on port ${(server.address() as AddressInfo).port}`));
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
