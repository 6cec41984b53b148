// `mongosh`: runs --eval expressions, script files or what comes on stdin. Enough for health checks and for scripts
// in /docker-entrypoint-initdb.d; it is no interactive shell.
import fs from 'node:fs';
import { inspect, parseArgs } from 'node:util';
import vm from 'node:vm';
import { Decimal128, Long, ObjectId, UUID } from 'bson';
import { connect } from './client.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    authenticationDatabase: { type: 'string' },
    authenticationMechanism: { type: 'string' },
    eval: { type: 'string', multiple: true },
    file: { type: 'string', short: 'f', multiple: true },
    host: { type: 'string', default: '127.0.0.1' },
    json: { type: 'string' },
    nodb: { type: 'boolean' },
    norc: { type: 'boolean' },
    password: { type: 'string', short: 'p' },
    port: { type: 'string', default: '27017' },
    quiet: { type: 'boolean' },
    serverSelectionTimeoutMS: { type: 'string' },
    username: { type: 'string', short: 'u' },
    version: { type: 'boolean' },
  },
});

/** Where to connect: an address or a database name as the first word, else the options. */
function destination() {
  const [first] = positionals;
  const isScript = first === undefined || first.endsWith('.js');
  const text = isScript ? '' : /^mongodb:/.test(first) ? first : first.includes('/') || first.includes(':') ? `mongodb://${first}` : '';
  const url = text ? new URL(text) : undefined;
  const database = url ? url.pathname.slice(1) : isScript ? '' : first;
  const user = values.username ?? decodeURIComponent(url?.username ?? '');
  return {
    host: url?.hostname ?? values.host,
    port: Number(url ? url.port || 27017 : values.port),
    user: user || undefined,
    password: values.password ?? decodeURIComponent(url?.password ?? ''),
    source: values.authenticationDatabase ?? url?.searchParams.get('authSource') ?? (database && url ? database : 'admin'),
    timeout: Number(values.serverSelectionTimeoutMS ?? 5_000),
    database: database || 'test',
  };
}

/** A found set of documents; options can be added until it is read. */
class Cursor {
  constructor(run) {
    Object.assign(this, { run, options: {} });
    for (const option of ['sort', 'limit', 'skip']) {
      this[option] = (value) => {
        this.options[option] = value;
        return this;
      };
    }
  }
  toArray = () => this.run(this.options);
  forEach = (each) => this.toArray().forEach(each);
  map = (each) => this.toArray().map(each);
  count = () => this.toArray().length;
  [inspect.custom] = () => this.toArray();
}

function collection(run, name) {
  const all = (first) => {
    const documents = [...first.cursor.firstBatch];
    for (let { id } = first.cursor; Number(id) !== 0; ) {
      const { cursor } = run({ getMore: Long.fromNumber(Number(id)), collection: name });
      documents.push(...cursor.nextBatch);
      id = cursor.id;
    }
    return documents;
  };
  const written = (reply) => {
    if (reply.writeErrors) throw new Error(reply.writeErrors[0].errmsg);
    return { acknowledged: true, ...reply };
  };
  const withId = (document) => ({ _id: new ObjectId(), ...document });
  const insert = (documents) => written(run({ insert: name, documents: documents.map(withId) }));
  const update = (q, u, options) => written(run({ update: name, updates: [{ q, u, ...options }] }));
  const remove = (q, limit) => written(run({ delete: name, deletes: [{ q, limit }] }));
  const find = (filter = {}, projection = {}) =>
    new Cursor((options) => all(run({ find: name, filter, projection, ...options })));
  return {
    aggregate: (pipeline = []) => new Cursor(() => all(run({ aggregate: name, pipeline, cursor: {} }))),
    countDocuments: (query = {}) => run({ count: name, query }).n,
    createIndex: (key, options = {}) => {
      const index = { key, name: Object.entries(key).flat().join('_'), ...options };
      run({ createIndexes: name, indexes: [index] });
      return index.name;
    },
    deleteMany: (filter) => remove(filter, 0),
    deleteOne: (filter) => remove(filter, 1),
    distinct: (key, query = {}) => run({ distinct: name, key, query }).values,
    drop: () => run({ drop: name }).ok === 1,
    find,
    findOne: (filter, projection) => find(filter, projection).limit(1).toArray()[0] ?? null,
    getIndexes: () => all(run({ listIndexes: name })),
    insertMany: insert,
    insertOne: (document) => insert([document]),
    stats: () => run({ collStats: name }),
    updateMany: (filter, change, options) => update(filter, change, { ...options, multi: true }),
    updateOne: (filter, change, options) => update(filter, change, options),
  };
}

function database(client, name) {
  const asCommand = (command) => (typeof command === 'string' ? { [command]: 1 } : command);
  const run = (command) => client.command(name, asCommand(command));
  const names = () => run({ listCollections: 1, nameOnly: true }).cursor.firstBatch.map((one) => one.name);
  const methods = {
    adminCommand: (command) => client.command('admin', asCommand(command)),
    createCollection: (collectionName, options = {}) => run({ create: collectionName, ...options }),
    createUser: ({ user, pwd, roles = [] }) => run({ createUser: user, pwd, roles }),
    dropDatabase: () => run({ dropDatabase: 1 }),
    dropUser: (user) => run({ dropUser: user }),
    getCollection: (collectionName) => collection(run, collectionName),
    getCollectionNames: names,
    getMongo: () => ({ getDBNames: () => client.command('admin', { listDatabases: 1 }).databases.map((one) => one.name) }),
    getName: () => name,
    getSiblingDB: (other) => database(client, other),
    hello: () => run({ hello: 1 }),
    isMaster: () => run({ isMaster: 1 }),
    runCommand: run,
    serverStatus: () => run({ serverStatus: 1 }),
    stats: () => run({ dbStats: 1 }),
    version: () => run({ buildInfo: 1 }).version,
    [inspect.custom]: () => name,
  };
  return new Proxy(methods, {
    get: (target, key) => target[key] ?? (typeof key === 'string' ? collection(run, key) : undefined),
  });
}

const show = (value) => (typeof value === 'string' ? value : inspect(value, { depth: 6 }));

function context(client, name) {
  const print = (...words) => console.log(words.map(show).join(' '));
  const scope = {
    Date, Decimal128, Long, NumberLong: (value) => Long.fromString(String(value)), ObjectId: (text) => new ObjectId(text),
    ISODate: (text) => (text ? new Date(text) : new Date()), NumberInt: Number, UUID: (text) => new UUID(text),
    console, print, printjson: print, process, require: undefined, JSON,
    db: database(client, name),
    exit: (code = 0) => process.exit(code),
    quit: (code = 0) => process.exit(code),
    rs: {
      initiate: (config = {}) => client.command('admin', { replSetInitiate: config }),
      status: () => client.command('admin', { replSetGetStatus: 1 }),
    },
    sleep: (milliseconds) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds),
  };
  scope.use = (other) => {
    scope.db = database(client, other);
    return `switched to db ${other}`;
  };
  scope.load = (file) => vm.runInContext(fs.readFileSync(file, 'utf8'), scope, { filename: file });
  return vm.createContext(scope);
}

function main() {
  if (values.version) return console.log('stand-in 2.0.0');
  const where = destination();
  const scope = context(connect(where), where.database);
  const files = [...(values.file ?? []), ...positionals.filter((word) => word.endsWith('.js'))];
  const evaluate = (code, filename) => {
    const useStatement = code.trim().match(/^use\s+([\w-]+);?$/);
    return useStatement ? scope.use(useStatement[1]) : vm.runInContext(code, scope, { filename });
  };
  const tell = (result) => {
    if (result === undefined) return;
    console.log(values.json === undefined ? show(result) : JSON.stringify(result));
  };
  for (const code of values.eval ?? []) tell(evaluate(code, '--eval'));
  for (const file of files) scope.load(file);
  if (values.eval || files.length > 0) return undefined;
  for (const line of fs.readFileSync(0, 'utf8').split('\n')) if (line.trim()) tell(evaluate(line, 'stdin'));
  return undefined;
}

try {
  main();
  process.exit(process.exitCode ?? 0);
} catch (error) {
  console.error(`${error.name}: ${error.message}`);
  process.exit(1);
}
