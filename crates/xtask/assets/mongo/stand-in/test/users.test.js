// Authentication with the real driver, and the small shell.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { MongoClient } from 'mongodb';
import { addUser } from '../src/commands/users.js';
import { serve, temporaryFolder } from './setup.js';

const folder = temporaryFolder();
let running;

before(async () => {
  running = await serve(folder, { needsAuthentication: true });
  addUser(running.server.store, 'admin', 'ro,ot', 'pass=wörd', [{ role: 'root', db: 'admin' }]);
});
after(async () => {
  await running.stop();
  fs.rmSync(folder, { recursive: true });
});

const url = (user, password, rest = '') =>
  running.url.replace('//', `//${encodeURIComponent(user)}:${encodeURIComponent(password)}@`) + rest;

async function connected(address, work) {
  const client = new MongoClient(address, { serverSelectionTimeoutMS: 2_000 });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

const shell = promisify(execFile);
const mongosh = (...words) =>
  shell(process.execPath, [path.join(import.meta.dirname, '../src/mongosh.js'), '--port', String(running.port), ...words]);

test('who knows the password gets in', () =>
  connected(url('ro,ot', 'pass=wörd'), async (client) => {
    await client.db('shop').collection('things').insertOne({ _id: 1 });
    assert.equal(await client.db('shop').collection('things').countDocuments(), 1);
  }));

test('a wrong password and an unknown user are refused alike', async () => {
  for (const [user, password] of [['ro,ot', 'wrong'], ['nobody', 'pass=wörd']]) {
    const attempt = connected(url(user, password, '/?authMechanism=SCRAM-SHA-256'), (client) => client.db('shop').command({ dbStats: 1 }));
    await assert.rejects(attempt, { code: 18, codeName: 'AuthenticationFailed' });
  }
});

test('without a user only the first steps are open', () =>
  connected(running.url, async (client) => {
    assert.equal((await client.db('admin').command({ ping: 1 })).ok, 1);
    await assert.rejects(client.db('shop').collection('things').findOne(), { code: 13, codeName: 'Unauthorized' });
  }));

test('a created user authenticates in its own database', async () => {
  await connected(url('ro,ot', 'pass=wörd'), (client) =>
    client.db('shop').command({ createUser: 'app', pwd: 'secret', roles: ['readWrite'] }));
  await connected(url('app', 'secret', '/shop'), async (client) => {
    assert.equal((await client.db().command({ usersInfo: 'app' })).users[0].user, 'app');
  });
});

test('the shell answers health checks', async () => {
  assert.equal((await mongosh('--quiet', '--eval', "db.adminCommand('ping')")).stdout, '{ ok: 1 }\n');
  assert.equal((await mongosh('--quiet', '--eval', 'db.runCommand({ping:1}).ok')).stdout, '1\n');
});

test('the shell authenticates and reads what it wrote', async () => {
  const code = 'db.notes.insertMany([{n: 1}, {n: 2}]); db.notes.find({}, {_id: 0}).sort({n: -1})';
  const { stdout } = await mongosh('-u', 'ro,ot', '-p', 'pass=wörd', 'shop', '--eval', code);
  assert.equal(stdout, '[ { n: 2 }, { n: 1 } ]\n');
});

test('the shell fails when the server refuses or is not there', async () => {
  await assert.rejects(mongosh('--eval', 'db.notes.find()'), { code: 1, stderr: /requires authentication/ });
  await assert.rejects(mongosh('--port', '1', '--eval', '1'), { code: 1, stderr: /ECONNREFUSED/ });
});
