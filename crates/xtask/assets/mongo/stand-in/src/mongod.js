// `mongod`: reads its options, opens the data folder and serves until SIGTERM or SIGINT.
import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { addUser } from './commands/users.js';
import { VERSION } from './commands/server.js';
import { Server } from './server.js';
import { Store } from './store.js';

const { values } = parseArgs({
  options: {
    auth: { type: 'boolean' },
    bind_ip: { type: 'string', default: '127.0.0.1' },
    bind_ip_all: { type: 'boolean' },
    dbpath: { type: 'string', default: '/data/db' },
    port: { type: 'string', default: '27017' },
    quiet: { type: 'boolean' },
    version: { type: 'boolean' },
  },
});
if (values.version) {
  console.log(`db version v${VERSION} (stand-in)`);
  process.exit(0);
}

/** One line as mongod writes them, since tools wait for the words "Waiting for connections". */
const say = (msg, attr = {}) => {
  if (!values.quiet) console.log(JSON.stringify({ t: { $date: new Date() }, s: 'I', c: 'CONTROL', msg, attr }));
};

/** The value of a variable, or of the file that NAME_FILE names. */
function setting(name) {
  const file = process.env[`${name}_FILE`];
  return file ? fs.readFileSync(file, 'utf8').trimEnd() : process.env[name];
}

const store = new Store(values.dbpath);
const [user, password] = [setting('MONGO_INITDB_ROOT_USERNAME'), setting('MONGO_INITDB_ROOT_PASSWORD')];
if (store.isNew && user && password) {
  addUser(store, 'admin', user, password, [{ role: 'root', db: 'admin' }]);
  await store.settled();
}

const server = new Server(store, { needsAuthentication: values.auth, onShutdown: stop });
async function stop() {
  await server.close();
  process.exit(0);
}
process.on('SIGTERM', stop).on('SIGINT', stop);

say('This is a stand-in for MongoDB, for development and tests only', { version: VERSION, pid: process.pid });
const hosts = values.bind_ip_all ? [undefined] : values.bind_ip.split(',');
if (hosts.length > 1) throw new Error('this stand-in listens on one address: use --bind_ip_all for all');
const { port } = await server.listen({ host: hosts[0] === '*' ? undefined : hosts[0], port: Number(values.port) });
say('Waiting for connections', { port, ssl: 'off' });
