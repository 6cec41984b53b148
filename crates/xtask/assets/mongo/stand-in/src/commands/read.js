// Commands that read: the query language is mingo's.
import { Aggregator, ProcessingMode, Query } from 'mingo';
import { CommandError, unsupported } from '../errors.js';
import { copy, isObject, keyOf, valuesAt } from '../values.js';

/** Options for mingo from those of a command. */
export function queryOptions({ collation, let: variables }, { database, store }) {
  return {
    collation,
    variables,
    processingMode: ProcessingMode.CLONE_INPUT,
    scriptEnabled: false,
    collectionResolver: (name) => store.documents(`${database}.${name}`),
  };
}

/** The documents of a collection that match `filter`, in natural order. */
export function matching(store, namespace, filter = {}, options = {}) {
  const names = Object.keys(filter);
  if (names.length === 0) return store.documents(namespace);
  if (names.length === 1 && names[0] === '_id' && isPlain(filter._id)) {
    const found = store.find(namespace)?.get(filter._id);
    return found ? [found] : [];
  }
  const query = new Query(filter, options);
  return store.documents(namespace).filter((document) => query.test(document));
}

const isPlain = (value) => typeof value === 'string' || typeof value === 'number' || value?._bsontype === 'ObjectId';

export function sorted(documents, sort, options) {
  if (!sort || Object.keys(sort).length === 0) return documents;
  if ('$natural' in sort) return sort.$natural < 0 ? documents.toReversed() : documents;
  return new Query({}, options).find(documents).sort(sort).all();
}

/** The positional projection `path.$` needs the filter, to know which element it matched. */
export function projected(documents, projection, options, filter = {}) {
  if (!projection || Object.keys(projection).length === 0) return documents;
  return new Query(filter, options).find(documents, projection).all();
}

function find(command, context) {
  for (const option of ['tailable', 'awaitData', 'min', 'max', 'returnKey', 'showRecordId']) {
    if (command[option]) throw unsupported(`find with ${option}`);
  }
  const { filter, sort, skip = 0, limit = 0, projection, batchSize, singleBatch } = command;
  const options = queryOptions(command, context);
  const namespace = context.namespace(command.find);
  const inOrder = sorted(matching(context.store, namespace, filter, options), sort, options);
  const count = Math.abs(limit);
  const page = inOrder.slice(skip, count ? skip + count : undefined);
  const found = projected(page, projection, options, positional(projection) ? filter : {});
  return context.cursors.first(namespace, found, { batchSize, singleBatch: singleBatch || limit < 0 });
}

const positional = (projection = {}) => Object.keys(projection).some((path) => path.endsWith('.$'));
function aggregate(command, context) {
  if (command.explain) throw unsupported('explain');
  const { pipeline, cursor = {} } = command;
  if (!Array.isArray(pipeline)) throw new CommandError(14, "'pipeline' must be an array");
  const last = pipeline.at(-1) ?? {};
  for (const stage of pipeline) {
    for (const name of ['$merge', '$changeStream', '$collStats', '$indexStats', '$currentOp']) {
      if (isObject(stage) && name in stage) throw unsupported(`the pipeline stage ${name}`);
    }
  }
  const namespace = context.namespace(command.aggregate === 1 ? '$cmd.aggregate' : command.aggregate);
  const stages = '$out' in last ? pipeline.slice(0, -1) : pipeline;
  const input = context.store.documents(namespace);
  const output = new Aggregator(stages, queryOptions(command, context)).run(input);
  if (!('$out' in last)) return context.cursors.first(namespace, output, cursor);
  const { db, coll } = isObject(last.$out) ? last.$out : { db: context.database, coll: last.$out };
  context.store.replace(`${db}.${coll}`, output.map(copy));
  return context.cursors.first(namespace, []);
}

function count(command, context) {
  const { query, skip = 0, limit = 0 } = command;
  const found = matching(context.store, context.namespace(command.count), query, queryOptions(command, context));
  const rest = Math.max(0, found.length - skip);
  return { n: limit ? Math.min(rest, Math.abs(limit)) : rest, ok: 1 };
}

function distinct(command, context) {
  const { key, query } = command;
  const found = matching(context.store, context.namespace(command.distinct), query, queryOptions(command, context));
  const values = new Map();
  for (const document of found) {
    for (const value of valuesAt(document, key)) if (value !== undefined) values.set(keyOf(value), value);
  }
  return { values: [...values.values()], ok: 1 };
}

const getMore = ({ getMore: id, collection, batchSize }, { cursors, namespace }) =>
  cursors.more(namespace(collection), id, batchSize);

const killCursors = ({ cursors: ids }, { cursors }) => cursors.kill(ids);

export default { find, aggregate, count, distinct, getMore, killCursors };
