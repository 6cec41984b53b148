// The server: connections, and one command after the other on each.
import net from 'node:net';
import { Cursors } from './cursors.js';
import { CommandError, asCommandError, unsupported } from './errors.js';
import read from './commands/read.js';
import schema from './commands/schema.js';
import serverCommands from './commands/server.js';
import users from './commands/users.js';
import write from './commands/write.js';
import { sweep } from './expiry.js';
import { Framer, parse, reply } from './wire.js';

const COMMANDS = new Map(Object.entries({ ...read, ...schema, ...serverCommands, ...users, ...write }));
/** What a client may ask before it has said who it is. */
const OPEN = ['hello', 'isMaster', 'ismaster', 'ping', 'buildInfo', 'buildinfo', 'connectionStatus', 'whatsmyuri',
  'saslStart', 'saslContinue', 'logout', 'endSessions'];

export class Server {
  #connections = new Set();
  #lastId = 0;

  /** `needsAuthentication`: refuse everything but the first steps to clients that have not authenticated. */
  constructor(store, { needsAuthentication = false, onShutdown = () => {} } = {}) {
    Object.assign(this, { store, needsAuthentication, onShutdown, cursors: new Cursors() });
    this.net = net.createServer((socket) => this.#serve(socket));
    this.sweeper = setInterval(() => sweep(store), 60_000).unref();
  }

  listen(options) {
    return new Promise((resolve, reject) => {
      this.net.once('error', reject);
      this.net.listen(options, () => resolve(this.net.address()));
    });
  }

  async close() {
    clearInterval(this.sweeper);
    this.net.close();
    for (const socket of this.#connections) socket.destroy();
    await this.store.settled();
    this.store.close();
  }

  #serve(socket) {
    this.#connections.add(socket.setNoDelay());
    const connection = {
      id: ++this.#lastId,
      address: `${socket.remoteAddress}:${socket.remotePort}`,
      count: () => this.#connections.size,
      shutdown: () => setImmediate(this.onShutdown),
    };
    // Answers leave in the order of the requests, also when one waits for the disk.
    let previous = Promise.resolve();
    const framer = new Framer((message) => {
      const request = parse(message);
      const answer = this.#answer(request, connection);
      previous = previous.then(async () => {
        const document = await answer;
        if (request.wantsReply && !socket.destroyed) socket.write(reply(request, document));
      });
    });
    socket.on('data', (chunk) => {
      try {
        framer.feed(chunk);
      } catch (error) {
        console.error(`connection ${connection.id}: ${error.message}`);
        socket.destroy();
      }
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#connections.delete(socket));
  }

  /** The reply to a command; when it changed something, after that is on disk. */
  async #answer({ command }, connection) {
    const before = this.store.log.records;
    let document;
    try {
      document = this.#run(command, connection);
    } catch (error) {
      document = asCommandError(error).reply();
    }
    if (this.store.log.records !== before) await this.store.settled();
    return document;
  }

  #run(command, connection) {
    const [name] = Object.keys(command);
    const run = COMMANDS.get(name);
    if (!run) throw new CommandError(59, `no such command: '${name}'`);
    if (this.needsAuthentication && !connection.user && !OPEN.includes(name)) {
      throw new CommandError(13, `Command ${name} requires authentication`);
    }
    if (command.autocommit === false) {
      throw new CommandError(20, 'Transaction numbers are only allowed on a replica set member or mongos');
    }
    if (command.explain) throw unsupported('explain');
    const { store, cursors } = this;
    const database = command.$db;
    return run(command, { store, cursors, connection, database, namespace: (name) => `${database}.${name}` });
  }
}
