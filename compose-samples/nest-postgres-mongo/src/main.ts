import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module';

async function main(): Promise<void> {
  const app = await NestFactory.create(AppModule, { forceCloseConnections: true });
  // On SIGTERM Nest closes the server and both databases, then exits: sending itself the signal once more, as it would
  // otherwise, does nothing to process 1 of a container.
  app.enableShutdownHooks([], { useProcessExit: true });
  await app.listen(Number(process.env.PORT ?? 3000), '0.0.0.0');
}

void main();
