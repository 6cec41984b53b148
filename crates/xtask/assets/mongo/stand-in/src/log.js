// The data file: an append-only log of BSON records, each with its length and CRC-32.
//
// A write is answered after its record is on disk: `sync` waits for one fsync that covers all records appended before
// it, so many clients share one. A torn record at the end (the machine stopped while it was written) was never
// answered for and is cut off. When the log is mostly history it is written anew beside the old one and renamed.
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { decode, encode } from './wire.js';

const HEADER = 8;

export class Log {
  #file;
  #descriptor;
  #waiting = [];
  #syncing = false;

  constructor(folder) {
    this.#file = path.join(folder, 'stand-in.log');
    fs.rmSync(`${this.#file}.new`, { force: true });
    this.#descriptor = fs.openSync(this.#file, 'a+', 0o600);
    syncFolder(folder);
    this.records = 0;
  }

  /** Calls `each` with every record and cuts off what follows the last whole one. */
  replay(each) {
    const size = fs.fstatSync(this.#descriptor).size;
    const header = Buffer.alloc(HEADER);
    let at = 0;
    while (at + HEADER <= size) {
      fs.readSync(this.#descriptor, header, 0, HEADER, at);
      const length = header.readUInt32LE(0);
      if (at + HEADER + length > size) break;
      const bytes = Buffer.alloc(length);
      fs.readSync(this.#descriptor, bytes, 0, length, at + HEADER);
      if (zlib.crc32(bytes) !== header.readUInt32LE(4)) break;
      each(decode(bytes));
      this.records += 1;
      at += HEADER + length;
    }
    if (at < size) {
      console.error(`stand-in.log: ${size - at} bytes after the last whole record are cut off`);
      fs.ftruncateSync(this.#descriptor, at);
      fs.fsyncSync(this.#descriptor);
    }
  }

  append(record) {
    try {
      writeAll(this.#descriptor, framed(record));
    } catch (error) {
      // Half a record may be in the file, and what followed it would be lost at the next start.
      console.error(`cannot write ${this.#file}: ${error.message}`);
      process.exit(1);
    }
    this.records += 1;
  }

  /** Resolves when everything appended so far is on disk. */
  sync() {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (!this.#syncing) this.#syncOnce();
    });
  }

  #syncOnce() {
    const covered = this.#waiting;
    this.#waiting = [];
    this.#syncing = true;
    fs.fdatasync(this.#descriptor, (error) => {
      // After a failed fsync nobody knows what is on disk; only a new start can tell.
      if (error) throw error;
      this.#syncing = false;
      for (const resolve of covered) resolve();
      if (this.#waiting.length > 0) this.#syncOnce();
    });
  }

  /** Replaces the history by `records`, which describe the state it led to. */
  compact(records) {
    const next = fs.openSync(`${this.#file}.new`, 'w+', 0o600);
    this.records = 0;
    for (const record of records) {
      writeAll(next, framed(record));
      this.records += 1;
    }
    fs.fsyncSync(next);
    fs.renameSync(`${this.#file}.new`, this.#file);
    syncFolder(path.dirname(this.#file));
    const old = this.#descriptor;
    // A sync that is under way still uses the old file; what it covers is in the new one too.
    const closeOld = () => (this.#syncing ? setTimeout(closeOld, 50) : fs.closeSync(old));
    this.#descriptor = next;
    closeOld();
  }

  close() {
    fs.fsyncSync(this.#descriptor);
    fs.closeSync(this.#descriptor);
  }
}

function framed(record) {
  const bytes = encode(record);
  const header = Buffer.alloc(HEADER);
  header.writeUInt32LE(bytes.length, 0);
  header.writeUInt32LE(zlib.crc32(bytes), 4);
  return Buffer.concat([header, bytes]);
}

function writeAll(descriptor, bytes) {
  for (let at = 0; at < bytes.length; ) at += fs.writeSync(descriptor, bytes, at);
}

function syncFolder(folder) {
  const descriptor = fs.openSync(folder, 'r');
  fs.fsyncSync(descriptor);
  fs.closeSync(descriptor);
}
