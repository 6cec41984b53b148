import { Controller, Get, ServiceUnavailableException } from '@nestjs/common';
import { Audit } from './audit';
import { Database } from './database';

@Controller('health')
export class HealthController {
  constructor(
    private readonly database: Database,
    private readonly audit: Audit,
  ) {}

  @Get()
  async health(): Promise<Record<string, string>> {
    const [postgres, mongo] = await Promise.allSettled([this.database.query('SELECT 1'), this.audit.ping()]);
    const state = (result: PromiseSettledResult<unknown>): string =>
      result.status === 'fulfilled' ? 'up' : 'down';
    const health = { postgres: state(postgres), mongo: state(mongo) };
    if (postgres.status === 'rejected' || mongo.status === 'rejected') {
      throw new ServiceUnavailableException({ status: 'error', ...health });
    }
    return { status: 'ok', ...health };
  }
}
