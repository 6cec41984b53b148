// Values: copies, keys for maps, and the values a path leads to.
import { EJSON } from 'bson';
import { decode, encode } from './wire.js';

export const copy = (document) => decode(encode(document));

/** Equal values (1 and 1.0, too) have equal keys. */
export function keyOf(value) {
  switch (typeof value) {
    case 'string':
      return `s${value}`;
    case 'number':
      return `n${value === 0 ? 0 : value}`;
    case 'bigint':
      return `n${value}`;
    case 'undefined':
      return 'null';
    default:
  }
  if (value === null) return 'null';
  if (value._bsontype === 'ObjectId') return `o${value.toHexString()}`;
  if (['Int32', 'Double', 'Long'].includes(value._bsontype)) return `n${value}`;
  return `e${EJSON.stringify(value, { relaxed: true })}`;
}

/** What an index on `path` sees in a document: elements of arrays one by one; nothing there is `undefined`. */
export function valuesAt(value, path) {
  const [first, ...rest] = typeof path === 'string' ? path.split('.') : path;
  if (first === undefined) return Array.isArray(value) && value.length > 0 ? value : [value];
  if (Array.isArray(value)) {
    if (/^\d+$/.test(first) && first in value) return valuesAt(value[first], rest);
    const found = value.flatMap((element) => (isObject(element) ? valuesAt(element, [first, ...rest]) : []));
    return found.length > 0 ? found : [undefined];
  }
  return isObject(value) ? valuesAt(value[first], rest) : [undefined];
}

/** Sets `path` (with dots) in a document, making the objects on the way. */
export function setAt(document, path, value) {
  const names = path.split('.');
  const last = names.pop();
  let place = document;
  for (const name of names) place = place[name] ??= {};
  place[last] = value;
}

export const isObject = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !value._bsontype && !(value instanceof Date);
