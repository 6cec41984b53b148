// Results that are fetched in several batches.
import { BSON, Long } from 'bson';
import { CommandError } from './errors.js';

const FIRST_BATCH = 101;
const MAX_BATCH_BYTES = 16_000_000;
const IDLE_MS = 10 * 60_000;

export class Cursors {
  #open = new Map();
  #lastId = 0;

  /** The reply to a command that finds documents. */
  first(namespace, documents, { batchSize = FIRST_BATCH, singleBatch = false } = {}) {
    this.#forgetIdle();
    const rest = [...documents];
    const firstBatch = take(rest, batchSize);
    const id = rest.length > 0 && !singleBatch ? ++this.#lastId : 0;
    if (id) this.#open.set(id, { namespace, rest, used: Date.now() });
    return { cursor: { firstBatch, id: Long.fromNumber(id), ns: namespace }, ok: 1 };
  }

  more(namespace, id, batchSize = Infinity) {
    const cursor = this.#open.get(Number(id));
    if (!cursor || cursor.namespace !== namespace) throw new CommandError(43, `cursor id ${id} not found`);
    cursor.used = Date.now();
    const nextBatch = take(cursor.rest, batchSize || Infinity);
    const isDone = cursor.rest.length === 0;
    if (isDone) this.#open.delete(Number(id));
    return { cursor: { nextBatch, id: Long.fromNumber(isDone ? 0 : Number(id)), ns: namespace }, ok: 1 };
  }

  kill(ids) {
    const [cursorsKilled, cursorsNotFound] = [[], []];
    for (const id of ids) (this.#open.delete(Number(id)) ? cursorsKilled : cursorsNotFound).push(id);
    return { cursorsKilled, cursorsNotFound, cursorsAlive: [], cursorsUnknown: [], ok: 1 };
  }

  #forgetIdle() {
    for (const [id, { used }] of this.#open) if (Date.now() - used > IDLE_MS) this.#open.delete(id);
  }
}

/** Removes the next batch from `documents`: at most `count`, and no more bytes than fit a message. */
function take(documents, count) {
  let [end, bytes] = [0, 0];
  while (end < documents.length && end < count) {
    bytes += BSON.calculateObjectSize(documents[end]);
    if (bytes > MAX_BATCH_BYTES && end > 0) break;
    end += 1;
  }
  return documents.splice(0, end);
}
