// Commands that change documents.
import { ObjectId } from 'bson';
import { updateOne } from 'mingo';
import { CommandError, asCommandError } from '../errors.js';
import { copy, isObject, keyOf, setAt } from '../values.js';
import { encode } from '../wire.js';
import { matching, projected, queryOptions, sorted } from './read.js';

/** Runs one write after the other; an error ends an ordered command and is noted in any. */
function each(writes, ordered = true, run) {
  const writeErrors = [];
  for (const [index, write] of writes.entries()) {
    try {
      run(write, index);
    } catch (error) {
      writeErrors.push(asCommandError(error).writeError(index));
      if (ordered) break;
    }
  }
  return writeErrors.length > 0 ? { writeErrors } : {};
}

function insertOne(store, namespace, document) {
  const complete = '_id' in document ? document : { _id: new ObjectId(), ...document };
  const collection = store.ensure(namespace);
  if (collection.get(complete._id)) {
    const shown = JSON.stringify(complete._id);
    const message = `E11000 duplicate key error collection: ${namespace} index: _id_ dup key: { _id: ${shown} }`;
    throw new CommandError(11000, message, { keyPattern: { _id: 1 }, keyValue: { _id: complete._id } });
  }
  store.put(namespace, complete);
  return complete;
}

function insert(command, { namespace, store }) {
  const target = namespace(command.insert);
  let n = 0;
  const errors = each(command.documents, command.ordered, (document) => {
    insertOne(store, target, document);
    n += 1;
  });
  return { n, ...errors, ok: 1 };
}

const isOperators = (change) => Array.isArray(change) || Object.keys(change)[0]?.startsWith('$');

/** `document` as `change` makes it; the document itself stays as it is. */
function changed(document, change, { arrayFilters, filter = {}, options }) {
  if (!isOperators(change)) return { _id: document._id, ...change };
  const documents = [copy(document)];
  const { $setOnInsert: _onlyInsert, ...operators } = Array.isArray(change) ? {} : change;
  const modifier = Array.isArray(change) ? change : operators;
  if (Array.isArray(change) || Object.keys(operators).length > 0) {
    updateOne(documents, filter, modifier, { arrayFilters, let: options.variables }, options);
  }
  return copy(documents[0]);
}

/** The document that an upsert makes: what the filter says must be equal, then the change. */
function upserted(filter, change, details) {
  const base = {};
  const collect = (conditions) => {
    for (const [path, value] of Object.entries(conditions)) {
      if (path === '$and') value.forEach(collect);
      else if (path.startsWith('$')) continue;
      else if (isObject(value) && Object.keys(value)[0]?.startsWith('$')) {
        if ('$eq' in value) setAt(base, path, value.$eq);
      } else if (!(value instanceof RegExp)) setAt(base, path, value);
    }
  };
  collect(filter);
  if (!isOperators(change)) return { _id: base._id ?? new ObjectId(), ...change };
  const onInsert = Array.isArray(change) ? {} : (change.$setOnInsert ?? {});
  const _id = base._id ?? onInsert._id ?? change.$set?._id ?? new ObjectId();
  const start = { _id, ...base };
  for (const [path, value] of Object.entries(onInsert)) setAt(start, path, value);
  return changed(start, change, { ...details, filter: {} });
}

/** Puts the changed document in place; false when nothing changed. */
function replace(store, namespace, document, next) {
  if (keyOf(next._id) !== keyOf(document._id)) {
    throw new CommandError(66, "the (immutable) field '_id' was found to have been altered");
  }
  if (Buffer.compare(encode(document), encode(next)) === 0) return false;
  store.put(namespace, next);
  return true;
}

function update(command, context) {
  const { store } = context;
  const target = context.namespace(command.update);
  const reply = { n: 0, nModified: 0, upserted: [] };
  const errors = each(command.updates, command.ordered, (one, index) => {
    const { q: filter, u: change, upsert, multi, arrayFilters } = one;
    const options = queryOptions({ let: command.let, collation: one.collation }, context);
    if (multi && !isOperators(change)) throw new CommandError(9, 'multi update is not supported for replacement-style update');
    const found = matching(store, target, filter, options);
    if (found.length === 0 && upsert) {
      const { _id } = insertOne(store, target, upserted(filter, change, { arrayFilters, options }));
      reply.upserted.push({ index, _id });
      reply.n += 1;
      return;
    }
    for (const document of multi ? found : found.slice(0, 1)) {
      const next = changed(document, change, { arrayFilters, filter, options });
      reply.n += 1;
      if (replace(store, target, document, next)) reply.nModified += 1;
    }
  });
  return { ...reply, upserted: reply.upserted.length > 0 ? reply.upserted : undefined, ...errors, ok: 1 };
}

function remove(command, context) {
  const { store } = context;
  const target = context.namespace(command.delete);
  let n = 0;
  const errors = each(command.deletes, command.ordered, ({ q: filter, limit, collation }) => {
    const found = matching(store, target, filter, queryOptions({ let: command.let, collation }, context));
    for (const { _id } of limit ? found.slice(0, limit) : found) {
      store.delete(target, _id);
      n += 1;
    }
  });
  return { n, ...errors, ok: 1 };
}

function findAndModify(command, context) {
  const { store } = context;
  const { query: filter = {}, sort, update: change, upsert, fields, arrayFilters } = command;
  const target = context.namespace(command.findAndModify ?? command.findandmodify);
  const options = queryOptions(command, context);
  const show = (document) => (document ? projected([document], fields, options)[0] : null);
  const [document] = sorted(matching(store, target, filter, options), sort, options);
  if (command.remove) {
    if (document) store.delete(target, document._id);
    return { lastErrorObject: { n: document ? 1 : 0 }, value: show(document), ok: 1 };
  }
  if (!document) {
    if (!upsert) return { lastErrorObject: { n: 0, updatedExisting: false }, value: null, ok: 1 };
    const made = insertOne(store, target, upserted(filter, change, { arrayFilters, options }));
    const lastErrorObject = { n: 1, updatedExisting: false, upserted: made._id };
    return { lastErrorObject, value: command.new ? show(made) : null, ok: 1 };
  }
  const next = changed(document, change, { arrayFilters, filter, options });
  replace(store, target, document, next);
  return { lastErrorObject: { n: 1, updatedExisting: true }, value: show(command.new ? next : document), ok: 1 };
}

export default { insert, update, delete: remove, findAndModify, findandmodify: findAndModify };
