import { Injectable, OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import mongoose, { Connection, Model, Schema } from 'mongoose';

export interface AuditRecord {
  action: string;
  noteId: number;
  at: Date;
}

const schema = new Schema<AuditRecord>(
  {
    action: { type: String, required: true },
    noteId: { type: Number, required: true, index: true },
    at: { type: Date, default: () => new Date() },
  },
  { versionKey: false },
);

/** Who did what to which note, kept in MongoDB. */
@Injectable()
export class Audit implements OnModuleInit, OnApplicationShutdown {
  private readonly connection: Connection = mongoose.createConnection(
    process.env.MONGO_URL ?? 'mongodb://localhost:27017/notes',
    { serverSelectionTimeoutMS: 5_000 },
  );
  private readonly records: Model<AuditRecord> = this.connection.model<AuditRecord>('Audit', schema, 'audit');

  async onModuleInit(): Promise<void> {
    await this.connection.asPromise();
    await this.records.init();
  }

  async record(action: string, noteId: number): Promise<AuditRecord> {
    return this.records.create({ action, noteId });
  }

  async newestFirst(limit: number): Promise<AuditRecord[]> {
    return this.records.find({}, { _id: 0 }).sort({ at: -1, noteId: -1 }).limit(limit).lean();
  }

  async ping(): Promise<void> {
    await this.connection.asPromise();
    await this.connection.db?.command({ ping: 1 });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.connection.close();
  }
}
