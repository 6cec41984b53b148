import { BadRequestException, Body, Controller, Get, Post } from '@nestjs/common';
import { AuditRecord } from './audit';
import { Note, NotesService } from './notes.service';

@Controller('notes')
export class NotesController {
  constructor(private readonly notes: NotesService) {}

  @Post()
  async create(@Body() body: { text?: unknown } | undefined): Promise<Note> {
    const text = body?.text;
    if (typeof text !== 'string' || text.trim() === '') {
      throw new BadRequestException('text must be a string that is not empty');
    }
    return this.notes.create(text);
  }

  @Get()
  async list(): Promise<{ notes: Note[]; audit: AuditRecord[] }> {
    return this.notes.list();
  }
}
