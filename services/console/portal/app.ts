import type { FastifyInstance } from 'fastify';
import { declareAccess } from '../../../shared/runtime/http/access.ts';
import { sendSeries, sendSnapshot } from '../components/data.ts';
import { readSnapshot } from '../components/snapshot.ts';
import { guidePage } from './guide-page.ts';
import type { GuideSources } from './guide-page.ts';
import { historyPage } from './history-page.ts';
import type { HistorySources } from './history-page.ts';
import { limitsPage } from './limits-page.ts';
import type { LimitsSources } from './limits-page.ts';
import { registerNotifications } from './notifications-page.ts';
import type { NotificationSources } from './notifications-page.ts';
import { refusalPage, refusalsPage } from './refusals-page.ts';
import type { RefusalSources } from './refusals-page.ts';
import { registerSignIn } from './sign-in.ts';
import type { SignInOptions } from './sign-in.ts';
import { usagePage } from './usage-page.ts';
import type { UsageSources } from './usage-page.ts';
import { forTenant, guardedVisitor } from './visitor.ts';
import type { VisitorSources } from './visitor.ts';

export type PortalOptions = GuideSources &
  HistorySources &
  LimitsSources &
  NotificationSources &
  RefusalSources &
  SignInOptions &
  UsageSources &
  VisitorSources;

/** The tenants' portal: its sign-in page, and the pages for signed-in tenants. */
export function registerPortal(app: FastifyInstance, options: PortalOptions): void {
  registerSignIn(app, options);
  void app.register((scope) => registerPages(scope, options));
}

function registerPages(app: FastifyInstance, options: PortalOptions): void {
  declareAccess(app, 'portal-session');
  registerData(app, options);
  registerNotifications(app, options);
  app.get(
    '/usage',
    forTenant('/usage', (visitor) => usagePage(options, visitor)),
  );
  app.get(
    '/history',
    forTenant('/history', (visitor, request) => historyPage(options, visitor, request)),
  );
  app.get(
    '/refusals',
    forTenant('/refusals', (visitor) => refusalsPage(options, visitor)),
  );
  app.get(
    '/refusals/:id',
    forTenant('/refusals', (visitor, request) => refusalPage(options, visitor, request)),
  );
  app.get(
    '/limits',
    forTenant('/limits', (visitor) => limitsPage(options, visitor)),
  );
  app.get(
    '/guide',
    forTenant('/guide', (visitor) => guidePage(options, visitor)),
  );
}

/** Data for the scripts of the pages, about the tenant of the session. */
function registerData(app: FastifyInstance, sources: UsageSources): void {
  app.get('/data/usage', async (request, reply) => {
    const { tenantId, usage } = guardedVisitor(request);
    return sendSnapshot(reply, await readSnapshot({ ...sources, usage }, tenantId));
  });

  app.get<{ Querystring: { span?: string } }>('/data/series', (request, reply) => {
    const { tenantId, usage } = guardedVisitor(request);
    return sendSeries(reply, { ...sources, usage }, tenantId, request.query.span);
  });
}
