// Commands about databases, collections and indexes.
import { BSON, Binary } from 'bson';
import { Query } from 'mingo';
import { indexSpec } from '../collection.js';
import { CommandError, unsupported } from '../errors.js';

/** Options of `create` that mean nothing here when they are off. */
const CREATE_OPTIONS = ['maxTimeMS', 'capped', 'autoIndexId', 'writeConcern', 'comment', 'lsid'];

function create(command, { namespace, store }) {
  const { create: name, $db: _database, ...options } = command;
  for (const [option, value] of Object.entries(options)) {
    if (option.startsWith('$') || (CREATE_OPTIONS.includes(option) && option !== 'capped')) continue;
    if (value) throw unsupported(`a collection with the option ${option}`);
  }
  if (store.find(namespace(name))) throw new CommandError(48, `Collection ${namespace(name)} already exists.`);
  store.ensure(namespace(name));
  return { ok: 1 };
}

function drop(command, { namespace, store }) {
  const ns = namespace(command.drop);
  const nIndexesWas = store.find(ns)?.indexes.size;
  store.drop(ns);
  return { nIndexesWas, ns, ok: 1 };
}

const of = (database, store) => [...store.collections.values()].filter(({ namespace }) => namespace.startsWith(`${database}.`));
const bytes = (documents) => documents.reduce((sum, document) => sum + BSON.calculateObjectSize(document), 0);

function dropDatabase(_command, { database, store }) {
  for (const { namespace } of of(database, store)) store.drop(namespace);
  return { dropped: database, ok: 1 };
}

function renameCollection({ renameCollection: from, to, dropTarget }, { store }) {
  if (!store.find(from)) throw new CommandError(26, `Source collection ${from} does not exist`);
  if (store.find(to) && !dropTarget) throw new CommandError(48, 'target namespace exists');
  store.drop(to);
  store.rename(from, to);
  return { ok: 1 };
}

function listCollections({ filter = {}, nameOnly }, { cursors, database, store }) {
  const query = new Query(filter);
  const described = of(database, store).map((collection) => describe(database, collection));
  const found = described.filter((one) => query.test(one));
  const shown = nameOnly ? found.map(({ name, type }) => ({ name, type })) : found;
  return cursors.first(`${database}.$cmd.listCollections`, shown, { batchSize: Infinity });
}

function describe(database, { namespace, options, indexes }) {
  const uuid = new Binary(Buffer.from(options.uuid.replaceAll('-', ''), 'hex'), Binary.SUBTYPE_UUID);
  return {
    name: namespace.slice(database.length + 1),
    type: 'collection',
    options: {},
    info: { readOnly: false, uuid },
    idIndex: indexes.get('_id_').spec,
  };
}

function listDatabases({ filter = {}, nameOnly }, { store }) {
  const names = new Set([...store.collections.keys()].map((namespace) => namespace.split('.')[0]));
  const query = new Query(filter);
  const described = [...names].sort().map((name) => {
    const sizeOnDisk = of(name, store).reduce((sum, { documents }) => sum + bytes([...documents.values()]), 0);
    return { name, sizeOnDisk, empty: false };
  });
  const databases = described.filter((one) => query.test(one));
  if (nameOnly) return { databases: databases.map(({ name }) => ({ name })), ok: 1 };
  const totalSize = databases.reduce((sum, { sizeOnDisk }) => sum + sizeOnDisk, 0);
  return { databases, totalSize, totalSizeMb: Math.round(totalSize / 2 ** 20), ok: 1 };
}

function createIndexes(command, { namespace, store }) {
  const ns = namespace(command.createIndexes);
  const createdCollectionAutomatically = !store.find(ns);
  const specs = command.indexes.map(indexSpec);
  const before = store.ensure(ns).indexes.size;
  const made = specs.filter((spec) => !isIdIndex(spec) && store.addIndex(ns, spec));
  const numbers = { numIndexesBefore: before, numIndexesAfter: before + made.length };
  const note = made.length === 0 ? { note: 'all indexes already exist' } : {};
  return { ...numbers, createdCollectionAutomatically, ...note, ok: 1 };
}

const isIdIndex = ({ key }) => Object.keys(key).join() === '_id';

function listIndexes(command, { cursors, namespace, store }) {
  const ns = namespace(command.listIndexes);
  const collection = store.find(ns);
  if (!collection) throw new CommandError(26, `ns does not exist: ${ns}`);
  return cursors.first(ns, [...collection.indexes.values()].map(({ spec }) => spec), { batchSize: Infinity });
}

function dropIndexes(command, { namespace, store }) {
  const ns = namespace(command.dropIndexes);
  const indexes = store.find(ns)?.indexes;
  if (!indexes) throw new CommandError(26, `ns not found ${ns}`);
  const nIndexesWas = indexes.size;
  const asked = [command.index].flat();
  const all = [...indexes.keys()].filter((name) => name !== '_id_');
  for (const one of asked[0] === '*' ? all : asked) {
    const name = typeof one === 'string' ? one : byKey(indexes, one);
    if (name === '_id_' || !indexes.has(name)) throw new CommandError(27, `index not found with name [${name}]`);
    store.dropIndex(ns, name);
  }
  return { nIndexesWas, ok: 1 };
}

const byKey = (indexes, key) =>
  [...indexes.values()].find(({ spec }) => JSON.stringify(spec.key) === JSON.stringify(key))?.spec.name;

function collStats(command, { namespace, store }) {
  const ns = namespace(command.collStats);
  const size = bytes(store.documents(ns));
  const count = store.documents(ns).length;
  return { ns, count, size, storageSize: size, nindexes: store.find(ns)?.indexes.size ?? 0, ok: 1 };
}

function dbStats(_command, { database, store }) {
  const collections = of(database, store);
  const documents = collections.flatMap((collection) => [...collection.documents.values()]);
  return { db: database, collections: collections.length, objects: documents.length, dataSize: bytes(documents), ok: 1 };
}

export default {
  create,
  drop,
  dropDatabase,
  renameCollection,
  listCollections,
  listDatabases,
  createIndexes,
  listIndexes,
  dropIndexes,
  deleteIndexes: dropIndexes,
  collStats,
  dbStats,
  dbstats: dbStats,
};
