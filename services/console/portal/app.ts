import type { FastifyInstance } from 'fastify';
import type { ConsoleParts } from '../console.ts';
import { registerData } from './data.ts';
import { guidePage } from './guide-page.ts';
import { historyPage } from './history-page.ts';
import { limitsPage } from './limits-page.ts';
import { registerNotifications } from './notifications-page.ts';
import { refusalPage, refusalsPage } from './refusals-page.ts';
import { registerSignIn } from './sign-in.ts';
import { usagePage } from './usage-page.ts';
import { forTenant } from './visitor.ts';

export function registerPortal(app: FastifyInstance, parts: ConsoleParts): void {
  registerSignIn(app, parts);
  registerData(app, parts);
  registerNotifications(app, parts);
  app.get(
    '/usage',
    forTenant(parts, '/usage', (visitor) => usagePage(parts, visitor)),
  );
  app.get(
    '/history',
    forTenant(parts, '/history', (visitor, request) => historyPage(parts, visitor, request)),
  );
  app.get(
    '/refusals',
    forTenant(parts, '/refusals', (visitor) => refusalsPage(parts, visitor)),
  );
  app.get(
    '/refusals/:id',
    forTenant(parts, '/refusals', (visitor, request) => refusalPage(parts, visitor, request)),
  );
  app.get(
    '/limits',
    forTenant(parts, '/limits', (visitor) => limitsPage(parts, visitor)),
  );
  app.get(
    '/guide',
    forTenant(parts, '/guide', (visitor) => guidePage(parts, visitor)),
  );
}
