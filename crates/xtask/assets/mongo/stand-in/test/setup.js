// A server on a free port with its data in a folder of its own, for one test file.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Server } from '../src/server.js';
import { Store } from '../src/store.js';

export const temporaryFolder = () => fs.mkdtempSync(path.join(os.tmpdir(), 'mongo-stand-in-'));

/** Serves `folder`; `stop` closes the server, `url` is what drivers connect to. */
export async function serve(folder, options = {}) {
  const server = new Server(new Store(folder), options);
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
  return { server, port, url: `mongodb://127.0.0.1:${port}`, stop: () => server.close() };
}
