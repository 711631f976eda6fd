import type { FastifyInstance } from 'fastify';
import { declareAccess } from '../../../shared/runtime/http/access.ts';
import { eventPage } from './events/event-page.ts';
import { eventsPage } from './events/events-page.ts';
import type { EventSources } from './events/events-page.ts';
import { guidePage } from './guide/guide-page.ts';
import type { GuideSources } from './guide/guide-page.ts';
import { historyPage } from './history/history-page.ts';
import type { HistorySources } from './history/history-frame.ts';
import { registerKeys } from './keys/keys-page.ts';
import type { KeySources } from './keys/key-views.ts';
import { registerKey } from './keys/key-page.ts';
import { limitsPage } from './limits-page.ts';
import type { LimitsSources } from './limits-page.ts';
import { registerNotifications } from './notifications-page.ts';
import type { NotificationSources } from './notifications-page.ts';
import { refusalPage } from './refusals/decision-page.ts';
import { refusalsPage } from './refusals/refusals-page.ts';
import type { RefusalSources } from './refusals/refusals-page.ts';
import { registerRequests } from './requests/requests-page.ts';
import type { RequestSources } from './requests/requests-page.ts';
import { registerSessions } from './sessions-page.ts';
import type { SessionSources } from './sessions-page.ts';
import { registerSignIn } from './sign-in.ts';
import type { SignInOptions } from './sign-in.ts';
import { spendPage } from './spend-page.ts';
import type { SpendSources } from './spend-page.ts';
import { registerUsageStream, usagePage } from './usage-page.ts';
import type { UsageSources } from './usage-page.ts';
import { forTenant } from './visitor.ts';
import type { VisitorSources } from './visitor.ts';

export type PortalOptions = EventSources &
  GuideSources &
  HistorySources &
  KeySources &
  LimitsSources &
  NotificationSources &
  RefusalSources &
  RequestSources &
  SessionSources &
  SignInOptions &
  SpendSources &
  UsageSources &
  VisitorSources;

/** The tenants' portal: its sign-in page, and the pages for signed-in tenants. */
export function registerPortal(app: FastifyInstance, options: PortalOptions): void {
  registerSignIn(app, options);
  void app.register((scope) => registerPages(scope, options));
}

function registerPages(app: FastifyInstance, options: PortalOptions): void {
  declareAccess(app, 'portal-session');
  registerUsageStream(app, options);
  registerNotifications(app, options);
  registerRequests(app, options);
  registerKeys(app, options);
  registerKey(app, options);
  registerSessions(app, options);
  app.get(
    '/usage',
    forTenant('/usage', (visitor, visit) => usagePage(options, visitor, visit)),
  );
  app.get(
    '/history',
    forTenant('/history', (visitor, visit) => historyPage(options, visitor, visit)),
  );
  app.get(
    '/spend',
    forTenant('/spend', (visitor, visit) => spendPage(options, visitor, visit)),
  );
  app.get(
    '/refusals',
    forTenant('/refusals', (visitor, visit) => refusalsPage(options, visitor, visit)),
  );
  app.get(
    '/refusals/:id',
    forTenant('/refusals', (visitor, visit) => refusalPage(options, visitor, visit)),
  );
  app.get(
    '/events',
    forTenant('/events', (visitor, visit) => eventsPage(options, visitor, visit)),
  );
  app.get(
    '/events/:id',
    forTenant('/events', (visitor, visit) => eventPage(options, visitor, visit)),
  );
  app.get(
    '/limits',
    forTenant('/limits', (visitor, visit) => limitsPage(options, visitor, visit)),
  );
  app.get(
    '/guide',
    forTenant('/guide', (visitor, visit) => guidePage(options, visitor, visit)),
  );
}
