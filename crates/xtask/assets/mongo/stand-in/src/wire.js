// MongoDB's wire protocol: framing of OP_MSG, and of the OP_QUERY/OP_REPLY pair that old drivers open with.
import { BSON } from 'bson';

const OP_REPLY = 1;
const OP_QUERY = 2004;
const OP_MSG = 2013;
const CHECKSUM_PRESENT = 1;
const MORE_TO_COME = 2;
const HEADER = 16;

export const MAX_MESSAGE_BYTES = 48_000_000;

/** Decodes as drivers of this language do, but keeps binary data and its subtype together. */
export const decode = (bytes) => BSON.deserialize(bytes, { promoteBuffers: false });

/** `undefined` members are left out, as drivers do. */
export const encode = (document) => BSON.serialize(document, { ignoreUndefined: true });

/** Splits a byte stream into messages; feed it chunks, it calls `onMessage` with each whole one. */
export class Framer {
  #pending = [];
  #length = 0;

  constructor(onMessage) {
    this.onMessage = onMessage;
  }

  feed(chunk) {
    this.#pending.push(chunk);
    this.#length += chunk.length;
    while (this.#length >= 4) {
      if (this.#pending[0].length < 4) this.#join();
      const size = this.#pending[0].readInt32LE(0);
      if (size < HEADER || size > MAX_MESSAGE_BYTES) throw new Error(`a message cannot have ${size} bytes`);
      if (this.#length < size) return;
      this.#join();
      const [bytes] = this.#pending;
      this.#pending = bytes.length > size ? [bytes.subarray(size)] : [];
      this.#length -= size;
      this.onMessage(bytes.subarray(0, size));
    }
  }

  #join() {
    if (this.#pending.length > 1) this.#pending = [Buffer.concat(this.#pending)];
  }
}

/** A request: its id, its command as one document (document sequences put in place), and how to answer. */
export function parse(message) {
  const id = message.readInt32LE(4);
  const operation = message.readInt32LE(12);
  const body = message.subarray(HEADER);
  if (operation === OP_MSG) return { id, ...parseMessage(body) };
  if (operation === OP_QUERY) return { id, operation, command: parseQuery(body), wantsReply: true };
  throw new Error(`operation ${operation} is not supported`);
}

function parseMessage(body) {
  const flags = body.readUInt32LE(0);
  const end = body.length - (flags & CHECKSUM_PRESENT ? 4 : 0);
  let command = {};
  const sequences = {};
  for (let at = 4; at < end; ) {
    const kind = body[at++];
    const size = body.readInt32LE(at);
    if (size < 5 || at + size > end) throw new Error('a section is longer than its message');
    const section = body.subarray(at, at + size);
    if (kind === 0) command = decode(section);
    else if (kind === 1) readSequence(section, sequences);
    else throw new Error(`sections of kind ${kind} are not supported`);
    at += size;
  }
  return { operation: OP_MSG, command: { ...command, ...sequences }, wantsReply: !(flags & MORE_TO_COME) };
}

function readSequence(section, sequences) {
  const nameEnd = section.indexOf(0, 4);
  const documents = [];
  for (let at = nameEnd + 1; at < section.length; ) {
    const size = section.readInt32LE(at);
    documents.push(decode(section.subarray(at, at + size)));
    at += size;
  }
  sequences[section.toString('utf8', 4, nameEnd)] = documents;
}

function parseQuery(body) {
  const nameEnd = body.indexOf(0, 4);
  const [database] = body.toString('utf8', 4, nameEnd).split('.$cmd');
  const query = decode(body.subarray(nameEnd + 1 + 8));
  return { ...(query.$query ?? query), $db: database };
}

let lastId = 0;

/** The message that answers `request` with `document`. */
export function reply(request, document) {
  const bytes = encode(document);
  if (request.operation === OP_MSG) return frame(OP_MSG, request.id, [Buffer.alloc(5), bytes]);
  const head = Buffer.alloc(20);
  head.writeInt32LE(8, 0); // AwaitCapable
  head.writeInt32LE(1, 16); // one document
  return frame(OP_REPLY, request.id, [head, bytes]);
}

/** The message that asks a server to run `command`. */
export function request(command) {
  return frame(OP_MSG, 0, [Buffer.alloc(5), encode(command)]);
}

function frame(operation, responseTo, parts) {
  const header = Buffer.alloc(HEADER);
  const size = parts.reduce((sum, part) => sum + part.length, HEADER);
  lastId = (lastId + 1) & 0x7fffffff;
  header.writeInt32LE(size, 0);
  header.writeInt32LE(lastId, 4);
  header.writeInt32LE(responseTo, 8);
  header.writeInt32LE(operation, 12);
  return Buffer.concat([header, ...parts]);
}
