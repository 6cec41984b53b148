// What mongoose does with the server.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import mongoose from 'mongoose';
import { serve, temporaryFolder } from './setup.js';

const folder = temporaryFolder();
let running;
let connection;

before(async () => {
  running = await serve(folder);
  connection = await mongoose.createConnection(`${running.url}/blog`).asPromise();
});
after(async () => {
  await connection.close();
  await running.stop();
  fs.rmSync(folder, { recursive: true });
});

test('models save, validate, populate and keep unique fields unique', async () => {
  const Author = connection.model('Author', new mongoose.Schema({ name: { type: String, unique: true, required: true } }));
  const posts = new mongoose.Schema(
    { title: String, tags: [String], author: { type: mongoose.ObjectId, ref: 'Author' } },
    { timestamps: true },
  );
  const Post = connection.model('Post', posts);
  await Promise.all([Author.init(), Post.init()]);

  const author = await Author.create({ name: 'Ada' });
  await assert.rejects(Author.create({ name: 'Ada' }), { code: 11000 });
  await assert.rejects(Author.create({}), mongoose.Error.ValidationError);

  const post = await Post.create({ title: 'one', tags: ['x'], author });
  post.tags.push('y');
  post.title = 'two';
  await post.save();
  const found = await Post.findOne({ tags: 'y' }).populate('author').lean();
  assert.equal(found.title, 'two');
  assert.equal(found.author.name, 'Ada');
  assert.ok(found.updatedAt >= found.createdAt);

  const upserted = await Post.findOneAndUpdate({ title: 'three' }, { tags: [] }, { upsert: true, new: true });
  assert.equal(upserted.title, 'three');
  assert.ok(upserted.createdAt instanceof Date);
  assert.equal(await Post.countDocuments(), 2);
  assert.equal((await Post.deleteMany({})).deletedCount, 2);
});
