// One collection: its documents in order of insertion, and its indexes (of which the unique ones do something).
import { Query } from 'mingo';
import { CommandError, unsupported } from './errors.js';
import { keyOf, valuesAt } from './values.js';

const IGNORED_BY_ALL_SERVERS = ['v', 'ns', 'background'];
const KNOWN = ['key', 'name', 'unique', 'sparse', 'hidden', 'partialFilterExpression', 'expireAfterSeconds'];

export class Collection {
  documents = new Map();
  indexes = new Map();

  constructor(namespace, options = {}) {
    this.namespace = namespace;
    this.options = options;
    this.addIndex({ v: 2, key: { _id: 1 }, name: '_id_' });
  }

  get(id) {
    return this.documents.get(keyOf(id));
  }

  /** Puts a document in the place of the one with its `_id`, or at the end; `check` says whether it may. */
  put(document) {
    const id = keyOf(document._id);
    this.#unindex(id);
    this.documents.set(id, document);
    for (const index of this.indexes.values()) {
      for (const key of index.keys(document)) index.entries.set(key, id);
    }
  }

  delete(id) {
    this.#unindex(keyOf(id));
    return this.documents.delete(keyOf(id));
  }

  /** Throws when a unique index has another document under a key of this one. */
  check(document) {
    const id = keyOf(document._id);
    for (const index of this.indexes.values()) {
      for (const key of index.keys(document)) {
        const holder = index.entries.get(key);
        if (holder !== undefined && holder !== id) throw index.duplicate(this.namespace, document);
      }
    }
  }

  addIndex(spec) {
    const index = new Index(spec);
    for (const [id, document] of this.documents) {
      for (const key of index.keys(document)) {
        if (index.entries.has(key)) throw index.duplicate(this.namespace, document);
        index.entries.set(key, id);
      }
    }
    this.indexes.set(spec.name, index);
  }

  #unindex(id) {
    const old = this.documents.get(id);
    if (!old) return;
    for (const index of this.indexes.values()) for (const key of index.keys(old)) index.entries.delete(key);
  }
}

class Index {
  entries = new Map();

  constructor(spec) {
    this.spec = spec;
    this.paths = Object.keys(spec.key);
    this.filter = spec.partialFilterExpression && new Query(spec.partialFilterExpression);
  }

  /** The keys of a document in a unique index; other indexes need none, since every query scans. */
  keys(document) {
    if (!this.spec.unique || this.filter?.test(document) === false) return [];
    const perPath = this.paths.map((path) => valuesAt(document, path));
    if (this.spec.sparse && perPath.flat().every((value) => value === undefined)) return [];
    // A missing field is like null in a unique index; an array gives one key per element.
    const combine = (keys, values) => keys.flatMap((key) => values.map((value) => `${key}\0${keyOf(value)}`));
    return [...new Set(perPath.reduce(combine, ['']))];
  }

  duplicate(namespace, document) {
    const keyValue = Object.fromEntries(this.paths.map((path) => [path, valuesAt(document, path)[0] ?? null]));
    const shown = this.paths.map((path) => `${path}: ${JSON.stringify(keyValue[path])}`).join(', ');
    const message = `E11000 duplicate key error collection: ${namespace} index: ${this.spec.name} dup key: { ${shown} }`;
    return new CommandError(11000, message, { keyPattern: this.spec.key, keyValue });
  }
}

/** An index as a client asks for it, checked and completed. */
export function indexSpec(asked) {
  for (const option of Object.keys(asked)) {
    if (!KNOWN.includes(option) && !IGNORED_BY_ALL_SERVERS.includes(option)) throw unsupported(`the index option ${option}`);
  }
  for (const [path, kind] of Object.entries(asked.key ?? {})) {
    if (kind !== 1 && kind !== -1 && kind !== 'hashed') {
      throw new CommandError(67, `an index of kind ${kind} (on ${path}) is not supported by this stand-in`);
    }
  }
  const { v: _version, ns: _namespace, background: _background, ...rest } = asked;
  return { v: 2, ...rest };
}
