// A client whose commands return their replies directly, for the shell: a worker thread does the network, this thread
// sleeps until it is done.
import { once } from 'node:events';
import net from 'node:net';
import { MessageChannel, Worker, isMainThread, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { Binary } from 'bson';
import { Client as Scram, MECHANISM } from './scram.js';
import { Framer, decode, encode, request } from './wire.js';

/** Connects to `{ host, port, user, password, source, timeout }`; throws when that fails. */
export function connect(where) {
  const { port1: ours, port2: theirs } = new MessageChannel();
  const flag = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL(import.meta.url), { workerData: { where, theirs, flag }, transferList: [theirs] });
  worker.unref();
  const receive = () => {
    Atomics.wait(flag, 0, 0);
    Atomics.store(flag, 0, 0);
    const { bytes, error } = receiveMessageOnPort(ours).message;
    if (error) throw new Error(error);
    return bytes && decode(bytes);
  };
  receive();
  return {
    command(database, command) {
      ours.postMessage(encode({ ...command, $db: database }));
      const reply = receive();
      if (reply.ok) return reply;
      throw Object.assign(new Error(reply.errmsg), { name: 'MongoServerError', code: reply.code });
    },
  };
}

async function serve({ where, theirs, flag }) {
  const answer = (message) => {
    theirs.postMessage(message);
    Atomics.store(flag, 0, 1);
    Atomics.notify(flag, 0);
  };
  let run;
  try {
    run = await open(where);
    if (where.user) await authenticate(run, where);
    answer({});
  } catch (error) {
    return answer({ error: error.message || error.code });
  }
  theirs.on('message', async (bytes) => {
    try {
      answer({ bytes: encode(await run(decode(bytes))) });
    } catch (error) {
      answer({ error: error.message });
    }
  });
}

async function open({ host, port, timeout }) {
  const socket = net.connect({ host, port, timeout });
  const replies = [];
  const framer = new Framer((message) => replies.shift()?.resolve(decode(message.subarray(21))));
  const fail = (error) => {
    socket.destroy();
    for (const { reject } of replies.splice(0)) reject(error);
  };
  socket.on('timeout', () => socket.destroy(new Error(`no answer from ${host}:${port}`)));
  await once(socket, 'connect');
  socket.on('error', fail).on('close', () => fail(new Error('the connection was closed')));
  socket.on('data', (chunk) => framer.feed(chunk));
  return (command) =>
    new Promise((resolve, reject) => {
      replies.push({ resolve, reject });
      socket.write(request(command));
    });
}

async function authenticate(run, { user, password, source }) {
  const scram = new Scram(user, password);
  const checked = async (command) => {
    const reply = await run({ ...command, $db: source });
    if (!reply.ok) throw new Error(reply.errmsg);
    return reply;
  };
  const payload = (text) => new Binary(Buffer.from(text));
  const first = { saslStart: 1, mechanism: MECHANISM, payload: payload(scram.first()) };
  const challenge = await checked({ ...first, options: { skipEmptyExchange: true } });
  const final = scram.final(Buffer.from(challenge.payload.buffer).toString());
  await checked({ saslContinue: 1, conversationId: challenge.conversationId, payload: payload(final) });
}

if (!isMainThread) await serve(workerData);
