// What is on disk after a stop, after a kill and after a torn write.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { MongoClient } from 'mongodb';
import { Store } from '../src/store.js';
import { sweep } from '../src/expiry.js';
import { serve, temporaryFolder } from './setup.js';

const folders = [];
let folder;

beforeEach(() => {
  folder = temporaryFolder();
  folders.push(folder);
});
after(() => folders.forEach((one) => fs.rmSync(one, { recursive: true })));

async function withClient(url, work) {
  const client = await MongoClient.connect(url);
  try {
    return await work(client.db('shop').collection('things'), client);
  } finally {
    await client.close();
  }
}

test('a new server on the same folder has everything', async () => {
  const first = await serve(folder);
  await withClient(first.url, async (things) => {
    await things.insertMany([{ _id: 1, n: 1 }, { _id: 2 }, { _id: 3 }]);
    await things.updateOne({ _id: 1 }, { $inc: { n: 1 } });
    await things.deleteOne({ _id: 2 });
    await things.createIndex({ n: 1 }, { unique: true, sparse: true });
  });
  await first.stop();
  const second = await serve(folder);
  await withClient(second.url, async (things) => {
    assert.deepEqual(await things.find().toArray(), [{ _id: 1, n: 2 }, { _id: 3 }]);
    await assert.rejects(things.insertOne({ n: 2 }), { code: 11000 });
  });
  await second.stop();
});

test('what was answered survives kill -9', async () => {
  const program = path.join(import.meta.dirname, '../src/mongod.js');
  const server = spawn(process.execPath, [program, '--dbpath', folder, '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await new Promise((resolve) => {
    server.stdout.on('data', (text) => {
      const waiting = /Waiting for connections.*"port":(\d+)/.exec(text);
      if (waiting) resolve(waiting[1]);
    });
  });
  let answered = 0;
  await withClient(`mongodb://127.0.0.1:${port}/?serverSelectionTimeoutMS=500`, async (things) => {
    const write = async () => {
      for (;;) answered = Math.max(answered, (await things.insertOne({ _id: answered + 1 })).insertedId);
    };
    setTimeout(() => server.kill('SIGKILL'), 300);
    await assert.rejects(write());
  });
  await once(server, 'exit');
  assert.ok(answered > 0);
  const store = new Store(folder);
  assert.ok(store.documents('shop.things').length >= answered);
  store.close();
});

test('a torn record at the end is cut off and the rest is kept', async () => {
  const store = new Store(folder);
  store.put('shop.things', { _id: 1 });
  store.put('shop.things', { _id: 2 });
  store.close();
  const file = path.join(folder, 'stand-in.log');
  fs.truncateSync(file, fs.statSync(file).size - 3);
  const again = new Store(folder);
  assert.deepEqual(again.documents('shop.things'), [{ _id: 1 }]);
  again.put('shop.things', { _id: 3 });
  again.close();
  const third = new Store(folder);
  assert.deepEqual(third.documents('shop.things'), [{ _id: 1 }, { _id: 3 }]);
  third.close();
});

test('a log that is mostly history is written anew', async () => {
  const store = new Store(folder);
  for (let n = 0; n < 12_000; n += 1) store.put('shop.things', { _id: n % 10, n });
  await store.settled();
  assert.ok(store.log.records < 20);
  store.put('shop.things', { _id: 'last' });
  await store.settled();
  store.close();
  const again = new Store(folder);
  assert.equal(again.documents('shop.things').length, 11);
  assert.equal(again.find('shop.things').get(9).n, 11_999);
  again.close();
});

test('documents expire by an index with expireAfterSeconds', () => {
  const store = new Store(folder);
  store.addIndex('shop.things', { v: 2, key: { at: 1 }, name: 'at_1', expireAfterSeconds: 60 });
  store.put('shop.things', { _id: 'old', at: new Date(0) });
  store.put('shop.things', { _id: 'young', at: new Date(50_000) });
  store.put('shop.things', { _id: 'ageless' });
  sweep(store, 61_000);
  assert.deepEqual(store.documents('shop.things').map(({ _id }) => _id), ['young', 'ageless']);
  store.close();
});
