import type { FastifyInstance } from 'fastify';
import { declareAccess } from '../../../shared/runtime/http/access.ts';
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
  void app.register((scope) => registerPages(scope, parts));
}

function registerPages(app: FastifyInstance, parts: ConsoleParts): void {
  declareAccess(app, 'portal-session');
  registerData(app, parts);
  registerNotifications(app, parts);
  app.get(
    '/usage',
    forTenant('/usage', (visitor) => usagePage(parts, visitor)),
  );
  app.get(
    '/history',
    forTenant('/history', (visitor, request) => historyPage(parts, visitor, request)),
  );
  app.get(
    '/refusals',
    forTenant('/refusals', (visitor) => refusalsPage(parts, visitor)),
  );
  app.get(
    '/refusals/:id',
    forTenant('/refusals', (visitor, request) => refusalPage(parts, visitor, request)),
  );
  app.get(
    '/limits',
    forTenant('/limits', (visitor) => limitsPage(parts, visitor)),
  );
  app.get(
    '/guide',
    forTenant('/guide', (visitor) => guidePage(parts, visitor)),
  );
}
