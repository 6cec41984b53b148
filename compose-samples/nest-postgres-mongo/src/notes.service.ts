import { Injectable } from '@nestjs/common';
import { Audit, AuditRecord } from './audit';
import { Database } from './database';

export interface Note {
  id: number;
  text: string;
  created_at: Date;
}

@Injectable()
export class NotesService {
  constructor(
    private readonly database: Database,
    private readonly audit: Audit,
  ) {}

  async create(text: string): Promise<Note> {
    const [note] = await this.database.query<Note>('INSERT INTO notes (text) VALUES ($1) RETURNING *', [text]);
    await this.audit.record('created', note.id);
    return note;
  }

  async list(): Promise<{ notes: Note[]; audit: AuditRecord[] }> {
    const [notes, audit] = await Promise.all([
      this.database.query<Note>('SELECT * FROM notes ORDER BY id DESC LIMIT 100'),
      this.audit.newestFirst(100),
    ]);
    return { notes, audit };
  }
}
