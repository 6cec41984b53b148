// Commands about the server, its connections and its sessions.
import { Binary } from 'bson';
import { randomBytes } from 'node:crypto';
import os from 'node:os';
import { CommandError, unsupported } from '../errors.js';
import { MAX_MESSAGE_BYTES } from '../wire.js';
import { mechanismsOf } from './users.js';

export const VERSION = '7.0.0';
const WIRE_VERSION = 21; // MongoDB 7.0
const ok = () => ({ ok: 1 });

function hello(command, { connection, store }) {
  const isHello = 'hello' in command;
  return {
    ...(isHello ? { isWritablePrimary: true } : { ismaster: true, helloOk: true }),
    maxBsonObjectSize: 16 * 1024 * 1024,
    maxMessageSizeBytes: MAX_MESSAGE_BYTES,
    maxWriteBatchSize: 100_000,
    localTime: new Date(),
    logicalSessionTimeoutMinutes: 30,
    connectionId: connection.id,
    minWireVersion: 0,
    maxWireVersion: WIRE_VERSION,
    readOnly: false,
    ...mechanismsOf(store, command.saslSupportedMechs),
    ok: 1,
  };
}

const buildInfo = () => ({
  version: VERSION,
  versionArray: [...VERSION.split('.').map(Number), 0],
  gitVersion: 'stand-in',
  modules: [],
  bits: 64,
  maxBsonObjectSize: 16 * 1024 * 1024,
  storageEngines: ['stand-in'],
  ok: 1,
});

const serverStatus = (_command, { connection }) => ({
  host: os.hostname(),
  version: VERSION,
  process: 'mongod',
  pid: process.pid,
  uptime: process.uptime(),
  localTime: new Date(),
  connections: { current: connection.count() },
  storageEngine: { name: 'stand-in' },
  mem: { resident: Math.round(process.memoryUsage.rss() / 2 ** 20) },
  ok: 1,
});

function startSession() {
  const uuid = new Binary(randomBytes(16), Binary.SUBTYPE_UUID);
  return { id: { id: uuid }, timeoutMinutes: 30, ok: 1 };
}

function connectionStatus(_command, { connection }) {
  const authenticatedUsers = connection.user ? [connection.user] : [];
  return { authInfo: { authenticatedUsers, authenticatedUserRoles: [] }, ok: 1 };
}

function noReplication() {
  throw new CommandError(76, 'not running with --replSet');
}

function noTransactions() {
  throw unsupported('a transaction');
}

export default {
  hello,
  isMaster: hello,
  ismaster: hello,
  ping: ok,
  buildInfo,
  buildinfo: buildInfo,
  serverStatus,
  hostInfo: () => ({ system: { hostname: os.hostname(), currentTime: new Date(), numCores: os.cpus().length }, ok: 1 }),
  whatsmyuri: (_command, { connection }) => ({ you: connection.address, ok: 1 }),
  connectionStatus,
  startSession,
  endSessions: ok,
  refreshSessions: ok,
  abortTransaction: noTransactions,
  commitTransaction: noTransactions,
  replSetGetStatus: noReplication,
  replSetInitiate: noReplication,
  shutdown: (_command, { connection }) => {
    connection.shutdown();
    return { ok: 1 };
  },
};
