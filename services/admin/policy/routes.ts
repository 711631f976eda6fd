import type { FastifyReply } from 'fastify';
import type { BacktestState } from '../../../shared/backtest/backtests.ts';
import { backtestRequest } from '../../../shared/policy-changes/backtest-request.ts';
import { diffText } from '../../../shared/policy-changes/line-diff.ts';
import type { PolicyTools } from '../../../shared/policy-changes/open-policy-tools.ts';
import { shadowDaysMax } from '../../../shared/policy-changes/shadow-results.ts';
import { readInstant } from '../../../shared/domain/time/instant.ts';
import { revisionOf } from '../../../shared/policy/file/compile.ts';
import { sendProblem } from '../../../shared/runtime/http/problem.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { asDocument, sendOutcome } from '../answer.ts';
import type { AdminApp } from '../answer.ts';
import { actorOf, authorOf } from '../authenticate.ts';
import { policyOperations } from './operations.ts';

export interface PolicyRouteOptions {
  readonly policyTools: PolicyTools;
  readonly clock: Clock;
}

const base = '/admin/v1/policy';

/** Reads, checks, backtests and replaces the policy. */
export function registerPolicy(app: AdminApp, options: PolicyRouteOptions): void {
  app.get(base, { schema: policyOperations.get }, async (_request, reply) => {
    const { editor } = options.policyTools;
    const { policy, text, file } = editor.inForce();
    return reply.header('etag', `"${policy.revision}"`).send({
      revision: policy.revision,
      ...{ text, file, writable: await editor.isWritable(), refused: editor.refused() },
    });
  });
  app.get(`${base}/revisions`, { schema: policyOperations.listRevisions }, async (request) => ({
    revisions: await options.policyTools.revisions.list(request.query.limit ?? 100),
  }));
  app.get(`${base}/revisions/:revision`, { schema: policyOperations.getRevision }, async (request, reply) => {
    const found = await options.policyTools.revisions.find(request.params.revision);
    return (
      found ?? sendProblem(reply, 404, 'No such revision', 'The history of the policy does not have it.')
    );
  });
  app.post(`${base}/check`, { schema: policyOperations.check }, (request) => {
    const { text } = request.body;
    const { editor } = options.policyTools;
    const isAdmin = request.operator?.role === 'admin';
    const checked = editor.check(text, isAdmin ? 'required' : 'optional');
    const violations = checked.valid ? [] : checked.violations;
    const diff = diffText(editor.inForce().text, text);
    return { valid: checked.valid, revision: revisionOf(text), violations, diff };
  });
  app.put(base, { config: asDocument, schema: policyOperations.put }, async (request, reply) => {
    const expectedRevision = /^(?:W\/)?"?([0-9a-f]{12})"?$/.exec(request.headers['if-match'] ?? '')?.[1];
    if (expectedRevision === undefined)
      return sendProblem(reply, 412, 'Which revision?', 'Send the revision in force as If-Match.');
    const { text, reason } = request.body;
    const outcome = await options.policyTools.editor.putLive({
      text,
      reason,
      expectedRevision,
      author: authorOf(request),
    });
    if (outcome.ok) void reply.header('etag', `"${outcome.value.revision}"`);
    return sendOutcome(reply, outcome);
  });
  registerShadow(app, options);
  registerBacktests(app, options);
}

function registerShadow(app: AdminApp, { policyTools, clock }: PolicyRouteOptions): void {
  app.get(`${base}/shadow`, { schema: policyOperations.shadow }, async (request, reply) => {
    const { since: start } = request.query;
    const wantedMs = start === undefined ? undefined : readInstant(start);
    const nowMs = clock.now();
    if (wantedMs === null || (wantedMs !== undefined && !isInRange(wantedMs, nowMs)))
      return sendProblem(
        reply,
        422,
        'No such range',
        `\`since\` is a time at most ${shadowDaysMax} days before now.`,
      );
    const { revision, sinceMs, completeSinceMs, limits } = await policyTools.shadowResults(wantedMs);
    return {
      policy_revision: revision,
      since: new Date(sinceMs).toISOString(),
      complete_since: completeSinceMs === null ? null : new Date(completeSinceMs).toISOString(),
      limits,
    };
  });
}

/** A minute more than the days, so that a request for exactly these days is not late. */
function isInRange(startMs: number, nowMs: number): boolean {
  return startMs <= nowMs && startMs >= nowMs - shadowDaysMax * 86_400_000 - 60_000;
}

function registerBacktests(app: AdminApp, options: PolicyRouteOptions): void {
  const path = `${base}/backtest`;
  const sendState = (reply: FastifyReply): FastifyReply => {
    const state = options.policyTools.backtests.current();
    if (state !== null) return reply.send(describeBacktest(state));
    return sendProblem(reply, 404, 'No backtest', 'None was started since the admin API started.');
  };
  app.post(path, { config: asDocument, schema: policyOperations.startBacktest }, (request, reply) => {
    const { text, from, to, tenant_id: tenantId = null } = request.body;
    const { editor, backtests } = options.policyTools;
    const outcome = backtestRequest(editor, { text, from, to, tenantId });
    if (!outcome.ok) return sendOutcome(reply, outcome);
    if (!backtests.start({ request: outcome.value, text, startedBy: actorOf(request) }))
      return sendProblem(reply, 409, 'A backtest runs', 'Wait for its end, or cancel it.');
    return sendState(reply.code(202));
  });
  app.get(path, { schema: policyOperations.getBacktest }, (_request, reply) => sendState(reply));
  app.delete(path, { schema: policyOperations.cancelBacktest }, (_request, reply) => {
    options.policyTools.backtests.cancel();
    return reply.code(204).send();
  });
}

function describeBacktest({ request, startedBy, startedAt, ...state }: BacktestState): object {
  const { policy, fromMs, toMs, tenantId } = request;
  return {
    ...{ state: state.state, started_by: startedBy, started_at: startedAt },
    ...{ from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString(), tenant_id: tenantId },
    policy_revision: policy.revision,
    ...{ events: state.events, total: state.total, error: state.error, result: state.result },
  };
}
