// All databases in memory, every change in the log first.
import { randomUUID } from 'node:crypto';
import { Collection } from './collection.js';
import { CommandError } from './errors.js';
import { Log } from './log.js';
import { keyOf } from './values.js';

/** A log shorter than this is not worth writing anew. */
const SMALL_LOG = 10_000;

export class Store {
  /** Namespace ("database.collection") to Collection. */
  collections = new Map();

  constructor(folder) {
    this.log = new Log(folder);
    this.log.replay((record) => this.#apply(record));
    this.#compactIfWorthIt();
  }

  get isNew() {
    return this.log.records === 0;
  }

  find(namespace) {
    return this.collections.get(namespace);
  }

  documents(namespace) {
    return [...(this.find(namespace)?.documents.values() ?? [])];
  }

  /** The collection, made if it is not there. */
  ensure(namespace, options = {}) {
    const [database, ...rest] = namespace.split('.');
    if (!database || !rest.join('.')) throw new CommandError(73, `Invalid namespace specified '${namespace}'`);
    if (!this.find(namespace)) this.#write({ op: 'create', namespace, options: { ...options, uuid: randomUUID() } });
    return this.find(namespace);
  }

  put(namespace, document) {
    this.ensure(namespace).check(document);
    this.#write({ op: 'put', namespace, document });
  }

  delete(namespace, id) {
    this.#write({ op: 'delete', namespace, id });
  }

  /** Replaces all documents of a collection (`$out`). */
  replace(namespace, documents) {
    const options = this.find(namespace)?.options ?? {};
    const indexes = [...(this.find(namespace)?.indexes.values() ?? [])].filter(({ spec }) => spec.name !== '_id_');
    this.drop(namespace);
    this.ensure(namespace, options);
    for (const { spec } of indexes) this.addIndex(namespace, spec);
    for (const document of documents) this.put(namespace, document);
  }

  drop(namespace) {
    if (this.find(namespace)) this.#write({ op: 'drop', namespace });
  }

  rename(namespace, to) {
    this.#write({ op: 'rename', namespace, to });
  }

  addIndex(namespace, spec) {
    const collection = this.ensure(namespace);
    const existing = collection.indexes.get(spec.name);
    if (existing) {
      if (keyOf(existing.spec) === keyOf(spec)) return false;
      throw new CommandError(85, `An index named ${spec.name} with other options exists already`);
    }
    collection.addIndex(spec);
    collection.indexes.delete(spec.name);
    this.#write({ op: 'index', namespace, spec });
    return true;
  }

  dropIndex(namespace, name) {
    this.#write({ op: 'dropIndex', namespace, name });
  }

  /** Resolves when every change so far is on disk. */
  async settled() {
    this.#compactIfWorthIt();
    await this.log.sync();
  }

  close() {
    this.log.close();
  }

  #write(record) {
    this.log.append(record);
    this.#apply(record);
  }

  #apply({ op, namespace, document, id, options, spec, name, to }) {
    const collection = this.find(namespace);
    switch (op) {
      case 'create':
        return this.collections.set(namespace, new Collection(namespace, options));
      case 'put':
        return collection.put(document);
      case 'delete':
        return collection.delete(id);
      case 'drop':
        return this.collections.delete(namespace);
      case 'rename':
        collection.namespace = to;
        this.collections.delete(namespace);
        return this.collections.set(to, collection);
      case 'index':
        return collection.addIndex(spec);
      case 'dropIndex':
        return collection.indexes.delete(name);
      default:
        throw new Error(`the log has an unknown record "${op}": was it written by a newer version?`);
    }
  }

  #compactIfWorthIt() {
    if (this.log.records < SMALL_LOG) return;
    let live = 0;
    for (const collection of this.collections.values()) live += 1 + collection.documents.size + collection.indexes.size;
    if (this.log.records > 4 * live) this.log.compact(this.#state());
  }

  *#state() {
    for (const [namespace, { options, indexes, documents }] of this.collections) {
      yield { op: 'create', namespace, options };
      for (const { spec } of indexes.values()) if (spec.name !== '_id_') yield { op: 'index', namespace, spec };
      for (const document of documents.values()) yield { op: 'put', namespace, document };
    }
  }
}
