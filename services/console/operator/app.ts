import type { FastifyInstance } from 'fastify';
import { declareAccess } from '../../../shared/runtime/http/access.ts';
import type { ConsoleParts } from '../console.ts';
import { registerActions } from './actions.ts';
import { auditPage } from './audit-page.ts';
import { registerTenantData } from './data.ts';
import { deadLettersPage, registerReplay } from './dead-letters-page.ts';
import { growthPage } from './growth-page.ts';
import { pipelinePage } from './pipeline-page.ts';
import { registerShownOnce } from './shown-once.ts';
import { registerOperatorSignIn } from './sign-in.ts';
import { tenantPage } from './tenant-page.ts';
import { tenantsPage } from './tenants-page.ts';
import { forOperator } from './signed-in.ts';

export function registerOperator(app: FastifyInstance, parts: ConsoleParts): void {
  registerOperatorSignIn(app, parts);
  void app.register((scope) => registerPages(scope, parts));
}

function registerPages(app: FastifyInstance, parts: ConsoleParts): void {
  declareAccess(app, 'operator-session');
  registerActions(app, parts);
  registerShownOnce(app, parts);
  registerTenantData(app, parts);
  registerReplay(app, parts);
  app.get(
    '/operator/tenants',
    forOperator('/operator/tenants', (_name, request) => tenantsPage(parts, request)),
  );
  app.get(
    '/operator/tenants/:id',
    forOperator('/operator/tenants', (_name, request) => tenantPage(parts, request)),
  );
  app.get(
    '/operator/growth',
    forOperator('/operator/growth', (_name, request) => growthPage(parts, request)),
  );
  app.get(
    '/operator/pipeline',
    forOperator('/operator/pipeline', () => pipelinePage(parts)),
  );
  app.get(
    '/operator/dead-letters',
    forOperator('/operator/dead-letters', () => deadLettersPage(parts)),
  );
  app.get(
    '/operator/audit',
    forOperator('/operator/audit', (_name, request) => auditPage(parts, request)),
  );
}
