import type { FastifyInstance } from 'fastify';
import { declareAccess } from '../../../shared/runtime/http/access.ts';
import { decisionPage } from './tenant/decision-page.ts';
import type { OperatorDecisionSources } from './tenant/decision-page.ts';
import { registerActions } from './tenant/actions.ts';
import type { ActionOptions } from './tenant/actions.ts';
import { auditPage } from './audit-page.ts';
import type { AuditSources } from './audit-page.ts';
import { registerConfirmedActions } from './confirm/confirmed-actions.ts';
import type { ConfirmedOptions } from './confirm/confirmed-actions.ts';
import { deadLettersPage, registerReplay } from './dead-letters-page.ts';
import type { DeadLetterOptions } from './dead-letters-page.ts';
import { growthPage } from './growth-page.ts';
import type { GrowthSources } from './growth-page.ts';
import { pipelinePage } from './pipeline-page.ts';
import type { PipelineSources } from './pipeline-page.ts';
import { registerRequests } from './requests/requests-page.ts';
import type { RequestSources } from './requests/requests-page.ts';
import { registerPolicyActions } from './policy/policy-actions.ts';
import { registerPolicyPage } from './policy/policy-page.ts';
import type { PolicySources } from './policy/policy-page.ts';
import { reservationsPage } from './reservations-page.ts';
import type { ReservationSources } from './reservations-page.ts';
import { registerShownOnce } from './tenant/shown-once.ts';
import type { ShownOnceOptions } from './tenant/shown-once.ts';
import { registerOperatorSessions } from './sessions-page.ts';
import type { OperatorSessionSources } from './sessions-page.ts';
import { registerOperatorSignIn } from './sign-in.ts';
import type { OperatorSignInOptions } from './sign-in.ts';
import { forOperator } from './signed-in.ts';
import { spendPage } from './spend-page.ts';
import type { SpendSources } from './spend-page.ts';
import { startPage } from './start/start-page.ts';
import type { StartSources } from './start/start-page.ts';
import { registerTenantStream, tenantPage } from './tenant/tenant-page.ts';
import type { TenantPageSources } from './tenant/tenant-page.ts';
import { tenantsPage } from './tenants/tenants-page.ts';
import type { TenantsSources } from './tenants/tenants-page.ts';

export type OperatorOptions = ActionOptions &
  ConfirmedOptions &
  AuditSources &
  DeadLetterOptions &
  GrowthSources &
  OperatorDecisionSources &
  OperatorSessionSources &
  OperatorSignInOptions &
  PipelineSources &
  PolicySources &
  RequestSources &
  ReservationSources &
  ShownOnceOptions &
  SpendSources &
  StartSources &
  TenantPageSources &
  TenantsSources;

/** The operator console: its sign-in page, and the pages for signed-in operators. */
export function registerOperator(app: FastifyInstance, options: OperatorOptions): void {
  registerOperatorSignIn(app, options);
  void app.register((scope) => registerPages(scope, options));
}

function registerPages(app: FastifyInstance, options: OperatorOptions): void {
  // A route that changes something declares the role that it needs.
  declareAccess(app, 'operator-session:viewer', 'reads');
  registerActions(app, options);
  registerShownOnce(app, options);
  registerTenantStream(app, options);
  registerReplay(app, options);
  registerConfirmedActions(app, options);
  registerRequests(app, options);
  registerOperatorSessions(app, options);
  registerPolicyPage(app, options);
  registerPolicyActions(app, options);
  app.get(
    '/operator/start',
    forOperator('/operator/start', (visit) => startPage(options, visit)),
  );
  app.get(
    '/operator/tenants',
    forOperator('/operator/tenants', (visit) => tenantsPage(options, visit)),
  );
  app.get(
    '/operator/tenants/:id',
    forOperator('/operator/tenants', ({ request, parts }) => tenantPage(options, request, parts)),
  );
  app.get(
    '/operator/decisions/:id',
    forOperator('/operator/tenants', (visit) => decisionPage(options, visit)),
  );
  app.get(
    '/operator/growth',
    forOperator('/operator/growth', (visit) => growthPage(options, visit)),
  );
  app.get(
    '/operator/spend',
    forOperator('/operator/spend', (visit) => spendPage(options, visit)),
  );
  app.get(
    '/operator/reservations',
    forOperator('/operator/reservations', (visit) => reservationsPage(options, visit)),
  );
  app.get(
    '/operator/pipeline',
    forOperator('/operator/pipeline', ({ parts }) => pipelinePage(options, parts)),
  );
  app.get(
    '/operator/dead-letters',
    forOperator('/operator/dead-letters', ({ request }) => deadLettersPage(options, request)),
  );
  app.get(
    '/operator/audit',
    forOperator('/operator/audit', (visit) => auditPage(options, visit)),
  );
}
