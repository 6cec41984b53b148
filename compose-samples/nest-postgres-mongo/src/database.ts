import { Injectable, OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { Pool, QueryResultRow } from 'pg';

/** The notes' PostgreSQL database; host, user and password come from the usual PG* variables. */
@Injectable()
export class Database implements OnModuleInit, OnApplicationShutdown {
  private readonly pool = new Pool({ connectionTimeoutMillis: 5_000 });

  constructor() {
    // An idle connection that breaks is replaced by the pool; without a listener it would end the process.
    this.pool.on('error', (error) => console.error(`postgres: ${error.message}`));
  }

  async onModuleInit(): Promise<void> {
    await this.query(`CREATE TABLE IF NOT EXISTS notes (
      id serial PRIMARY KEY,
      text text NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now()
    )`);
  }

  async query<Row extends QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.pool.query<Row>(text, values)).rows;
  }

  async onApplicationShutdown(): Promise<void> {
    await this.pool.end();
  }
}
