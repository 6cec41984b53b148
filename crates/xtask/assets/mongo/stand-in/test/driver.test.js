// What the real driver does with the server.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, beforeEach, test } from 'node:test';
import { Decimal128, Long, MongoClient, ObjectId, UUID } from 'mongodb';
import { serve, temporaryFolder } from './setup.js';

const folder = temporaryFolder();
let running;
let client;
let things;

before(async () => {
  running = await serve(folder);
  client = await MongoClient.connect(running.url);
});
after(async () => {
  await client.close();
  await running.stop();
  fs.rmSync(folder, { recursive: true });
});
beforeEach(async () => {
  await client.db('shop').dropDatabase();
  things = client.db('shop').collection('things');
});

const numbers = (count) => Array.from({ length: count }, (_, n) => ({ _id: n, n, parity: n % 2 ? 'odd' : 'even' }));

test('a document comes back with the types it was stored with', async () => {
  const stored = {
    _id: new ObjectId(),
    text: 'héllo',
    int: 42,
    double: 1.5,
    long: Long.fromString('9007199254740993'),
    decimal: Decimal128.fromString('12.50'),
    when: new Date('2026-01-02T03:04:05.678Z'),
    bytes: Buffer.from([1, 2, 3]),
    uuid: new UUID(),
    pattern: /a+/i,
    nothing: null,
    nested: { list: [1, { two: 2 }] },
  };
  await things.insertOne(stored);
  const found = await things.findOne({ _id: stored._id });
  assert.deepEqual({ ...found, bytes: Buffer.from(found.bytes.buffer) }, stored);
});

test('a find sorts, skips, limits and projects', async () => {
  await things.insertMany(numbers(10));
  const found = await things.find({ n: { $gte: 3 } }, { projection: { _id: 0, n: 1 } }).sort({ n: -1 }).skip(1).limit(2).toArray();
  assert.deepEqual(found, [{ n: 8 }, { n: 7 }]);
});

test('a large result comes in several batches', async () => {
  await things.insertMany(numbers(1000));
  const found = await things.find({}, { batchSize: 70 }).toArray();
  assert.deepEqual(found.map(({ n }) => n), numbers(1000).map(({ n }) => n));
});

test('a cursor that is closed early is gone', async () => {
  await things.insertMany(numbers(300));
  const cursor = things.find({}, { batchSize: 10 });
  await cursor.next();
  const { id } = cursor;
  await cursor.close();
  const more = client.db('shop').command({ getMore: id, collection: 'things' });
  await assert.rejects(more, { code: 43, codeName: 'CursorNotFound' });
});

test('dates, object ids and patterns can be searched for', async () => {
  const _id = new ObjectId();
  await things.insertMany([{ _id, at: new Date(1000), name: 'Alpha' }, { at: new Date(2000), name: 'Beta' }]);
  assert.equal(await things.countDocuments({ at: { $gt: new Date(1500) } }), 1);
  assert.equal(await things.countDocuments({ _id: { $in: [_id] } }), 1);
  assert.equal(await things.countDocuments({ name: /^al/i }), 1);
  assert.equal(await things.countDocuments({ $or: [{ name: 'Alpha' }, { at: { $lt: new Date(0) } }] }), 1);
});

test('updates change one or many and count what changed', async () => {
  await things.insertMany(numbers(4));
  const one = await things.updateOne({ parity: 'odd' }, { $set: { 'deep.er': 1 }, $inc: { n: 10 } });
  assert.deepEqual([one.matchedCount, one.modifiedCount], [1, 1]);
  const many = await things.updateMany({}, { $set: { parity: 'even' } });
  assert.deepEqual([many.matchedCount, many.modifiedCount], [4, 2]);
  assert.deepEqual(await things.findOne({ _id: 1 }), { _id: 1, n: 11, parity: 'even', deep: { er: 1 } });
});

test('array operators, array filters and pipelines work in updates', async () => {
  await things.insertOne({ _id: 1, list: [{ k: 'a', v: 1 }, { k: 'b', v: 2 }], tags: ['x'] });
  await things.updateOne({ _id: 1 }, { $push: { tags: { $each: ['y', 'z'] } } });
  await things.updateOne({ _id: 1 }, { $set: { 'list.$[one].v': 9 } }, { arrayFilters: [{ 'one.k': 'b' }] });
  await things.updateOne({ _id: 1, 'list.k': 'a' }, { $inc: { 'list.$.v': 4 } });
  await things.updateOne({ _id: 1 }, [{ $set: { count: { $size: '$tags' } } }]);
  const expected = { _id: 1, list: [{ k: 'a', v: 5 }, { k: 'b', v: 9 }], tags: ['x', 'y', 'z'], count: 3 };
  assert.deepEqual(await things.findOne(), expected);
});

test('an upsert takes what the filter says is equal', async () => {
  const change = { $set: { n: 1 }, $setOnInsert: { isNew: true } };
  const first = await things.updateOne({ name: 'a', size: { $gt: 3 }, 'in.side': 2 }, change, { upsert: true });
  assert.equal(first.upsertedCount, 1);
  assert.deepEqual(await things.findOne({}, { projection: { _id: 0 } }), { name: 'a', in: { side: 2 }, isNew: true, n: 1 });
  await things.updateOne({ name: 'a' }, { $set: { n: 2 }, $setOnInsert: { isNew: false } }, { upsert: true });
  assert.deepEqual(await things.findOne({}, { projection: { _id: 0 } }), { name: 'a', in: { side: 2 }, isNew: true, n: 2 });
});

test('a replacement keeps the id and nothing else', async () => {
  await things.insertOne({ _id: 7, a: 1 });
  await things.replaceOne({ _id: 7 }, { b: 2 });
  assert.deepEqual(await things.findOne(), { _id: 7, b: 2 });
  await assert.rejects(things.updateOne({ _id: 7 }, { $set: { _id: 8 } }), { code: 66 });
});

test('findAndModify gives the document before or after', async () => {
  await things.insertMany(numbers(3));
  const before = await things.findOneAndUpdate({}, { $inc: { n: 100 } }, { sort: { n: -1 } });
  assert.equal(before.n, 2);
  const afterwards = await things.findOneAndUpdate({ _id: 2 }, { $inc: { n: 1 } }, { returnDocument: 'after', projection: { n: 1 } });
  assert.deepEqual(afterwards, { _id: 2, n: 103 });
  assert.equal((await things.findOneAndDelete({ _id: 2 })).n, 103);
  assert.equal(await things.findOneAndUpdate({ _id: 2 }, { $set: { n: 1 } }), null);
});

test('deletes remove one or all', async () => {
  await things.insertMany(numbers(5));
  assert.equal((await things.deleteOne({ parity: 'even' })).deletedCount, 1);
  assert.equal((await things.deleteMany({ parity: 'even' })).deletedCount, 2);
  assert.equal(await things.estimatedDocumentCount(), 2);
});

test('bulk writes say which of them failed', async () => {
  await things.insertOne({ _id: 1 });
  const writes = [{ insertOne: { document: { _id: 1 } } }, { insertOne: { document: { _id: 2 } } }];
  await assert.rejects(things.bulkWrite(writes), { code: 11000 });
  assert.equal(await things.countDocuments(), 1);
  await assert.rejects(things.bulkWrite(writes, { ordered: false }), { code: 11000 });
  assert.equal(await things.countDocuments(), 2);
});

test('a unique index refuses duplicates, also when it is made or when a document changes', async () => {
  await things.createIndex({ mail: 1 }, { unique: true, sparse: true });
  await things.insertMany([{ _id: 1, mail: 'a' }, { _id: 2, mail: 'b' }, { _id: 3 }, { _id: 4 }]);
  const duplicate = { code: 11000, keyPattern: { mail: 1 }, keyValue: { mail: 'a' } };
  await assert.rejects(things.insertOne({ mail: 'a' }), (error) => {
    assert.deepEqual({ code: error.code, keyPattern: error.keyPattern, keyValue: error.keyValue }, duplicate);
    return true;
  });
  await assert.rejects(things.updateOne({ _id: 2 }, { $set: { mail: 'a' } }), { code: 11000 });
  await things.deleteOne({ _id: 1 });
  await things.updateOne({ _id: 2 }, { $set: { mail: 'a' } });
  await things.insertMany([{ size: 1 }, { size: 1 }]);
  await assert.rejects(things.createIndex({ size: 1 }, { unique: true }), { code: 11000 });
});

test('indexes are listed and dropped', async () => {
  await things.createIndex({ a: 1, b: -1 });
  await things.createIndex({ a: 1, b: -1 });
  assert.deepEqual((await things.indexes()).map(({ name }) => name), ['_id_', 'a_1_b_-1']);
  await things.dropIndex('a_1_b_-1');
  assert.equal((await things.indexes()).length, 1);
  await assert.rejects(things.createIndex({ a: 'text' }), { code: 67 });
});

test('an aggregation groups, joins and writes', async () => {
  await things.insertMany(numbers(6));
  await client.db('shop').collection('names').insertMany([{ _id: 'odd', long: 'uneven' }, { _id: 'even', long: 'even' }]);
  const pipeline = [
    { $group: { _id: '$parity', sum: { $sum: '$n' } } },
    { $lookup: { from: 'names', localField: '_id', foreignField: '_id', as: 'name' } },
    { $project: { sum: 1, name: { $first: '$name.long' } } },
    { $sort: { sum: 1 } },
  ];
  const expected = [{ _id: 'even', sum: 6, name: 'even' }, { _id: 'odd', sum: 9, name: 'uneven' }];
  assert.deepEqual(await things.aggregate(pipeline).toArray(), expected);
  await things.aggregate([...pipeline, { $out: 'sums' }]).toArray();
  assert.deepEqual(await client.db('shop').collection('sums').find().toArray(), expected);
  assert.equal(await things.countDocuments(), 6);
});

test('distinct values look into arrays', async () => {
  await things.insertMany([{ tags: ['a', 'b'] }, { tags: ['b', 'c'] }, {}]);
  assert.deepEqual((await things.distinct('tags')).sort(), ['a', 'b', 'c']);
});

test('collections and databases are listed, renamed and dropped', async () => {
  const shop = client.db('shop');
  await shop.createCollection('empty');
  await things.insertOne({});
  await things.rename('stuff');
  assert.deepEqual((await shop.listCollections().toArray()).map(({ name }) => name).sort(), ['empty', 'stuff']);
  assert.ok((await client.db().admin().listDatabases()).databases.some(({ name }) => name === 'shop'));
  assert.equal(await shop.dropCollection('empty'), true);
  await shop.dropDatabase();
  assert.deepEqual(await shop.listCollections().toArray(), []);
});

test('what the stand-in cannot do is refused by name', async () => {
  const shop = client.db('shop');
  await assert.rejects(shop.command({ frobnicate: 1 }), { code: 59, codeName: 'CommandNotFound' });
  await assert.rejects(things.aggregate([{ $frobnicate: {} }]).toArray(), { code: 40324 });
  await assert.rejects(things.find({ a: { $frobnicate: 1 } }).toArray(), { code: 2 });
  await assert.rejects(shop.createCollection('views', { viewOn: 'things' }), /viewOn is not supported/);
  await assert.rejects(things.watch().next());
  const session = client.startSession();
  const transaction = session.withTransaction(() => things.insertOne({}, { session }));
  await assert.rejects(transaction, { code: 20 });
  await session.endSession();
});

test('many clients write at once and lose nothing', async () => {
  await Promise.all(numbers(500).map((document) => things.insertOne(document)));
  await Promise.all(numbers(500).map(({ _id }) => things.updateOne({ _id: _id % 5 }, { $inc: { hits: 1 } })));
  assert.equal(await things.countDocuments(), 500);
  const [{ hits }] = await things.aggregate([{ $group: { _id: null, hits: { $sum: '$hits' } } }]).toArray();
  assert.equal(hits, 500);
});
