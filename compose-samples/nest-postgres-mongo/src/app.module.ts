import { Module } from '@nestjs/common';
import { Audit } from './audit';
import { Database } from './database';
import { HealthController } from './health.controller';
import { NotesController } from './notes.controller';
import { NotesService } from './notes.service';

@Module({
  controllers: [HealthController, NotesController],
  providers: [Audit, Database, NotesService],
})
export class AppModule {}
