import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { CheckedPolicy } from '../../../../shared/policy-changes/policy-editor.ts';
import { backtestRequest } from '../../../../shared/policy-changes/backtest-request.ts';
import { spanMs } from '../../../../shared/domain/time/duration.ts';
import { rejection } from '../../../../shared/tenants/outcome.ts';
import type { ChangeRejection } from '../../../../shared/tenants/outcome.ts';
import { formOf } from '../../components/form-body.ts';
import { policyBodyLimit } from '../confirm/confirmed-actions.ts';
import { actionForOperator, mayUse, sendOperatorPage } from '../signed-in.ts';
import { policyHref, policyPage } from './policy-page.ts';
import type { PolicySources, Tried } from './policy-page.ts';

interface Submitted {
  readonly name: string;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly form: URLSearchParams;
  /** The proposed text. Browsers send line breaks as CRLF. */
  readonly text: string;
}

/** The forms of the page of the policy: check, backtest, cancel. */
export function registerPolicyActions(app: FastifyInstance, options: PolicySources): void {
  const route = (
    path: string,
    act: (options: PolicySources, submitted: Submitted) => Promise<FastifyReply>,
  ): void =>
    void app.post(`${policyHref}/${path}`, {
      bodyLimit: policyBodyLimit,
      ...actionForOperator('support', (name, request, reply) => {
        const form = formOf(request);
        const text = (form.get('text') ?? '').replaceAll('\r\n', '\n');
        return act(options, { name, request, reply, form, text });
      }),
    });
  route('check', check);
  route('backtest', startBacktest);
  app.post(
    `${policyHref}/backtest/cancel`,
    actionForOperator('support', async (_name, _request, reply) => {
      options.policyTools.backtests.cancel();
      return reply.redirect(policyHref, 303);
    }),
  );
}

async function check(options: PolicySources, submitted: Submitted): Promise<FastifyReply> {
  const checked = checkFor(options, submitted);
  const violations = checked.valid ? [] : checked.violations;
  return answerWith(options, submitted, 200, {
    ...{ text: submitted.text, violations },
    refused: checked.valid ? null : refusalOf(submitted, 'The policy has violations, see below.', 'text'),
  });
}

/** Only administrators see whether the secrets that the policy names exist. */
function checkFor({ policyTools }: PolicySources, { text, request }: Submitted): CheckedPolicy {
  return policyTools.editor.check(text, mayUse(request, 'admin') ? 'required' : 'optional');
}

async function startBacktest(options: PolicySources, submitted: Submitted): Promise<FastifyReply> {
  const { policyTools, clock } = options;
  const { form, text, name, reply } = submitted;
  const nowMs = clock.now();
  const tenant = (form.get('tenant') ?? '').trim();
  const outcome = backtestRequest(policyTools.editor, {
    text,
    from: new Date(nowMs - (spanMs(form.get('range') ?? '') ?? 3_600_000)).toISOString(),
    to: new Date(nowMs).toISOString(),
    tenantId: tenant === '' ? null : tenant,
  });
  if (!outcome.ok) return answerRejected(options, submitted, outcome);
  if (!policyTools.backtests.start({ request: outcome.value, text, startedBy: name }))
    return answerRejected(
      options,
      submitted,
      rejection(409, 'A backtest runs', 'Wait for its end, or cancel it.'),
    );
  return reply.redirect(`${policyHref}#backtest`, 303);
}

function answerRejected(
  options: PolicySources,
  submitted: Submitted,
  { status, title, detail, field }: ChangeRejection,
): Promise<FastifyReply> {
  const checked = checkFor(options, submitted);
  return answerWith(options, submitted, status, {
    ...{ text: submitted.text, violations: checked.valid ? [] : checked.violations },
    refused: refusalOf(
      submitted,
      field === 'text' ? 'The policy has violations, see below.' : `${title}. ${detail}`,
      field ?? null,
    ),
  });
}

function refusalOf({ form }: Submitted, detail: string, field: string | null): Tried['refused'] {
  return { values: form, detail, field };
}

async function answerWith(
  options: PolicySources,
  { request, reply }: Submitted,
  status: number,
  tried: Tried,
): Promise<FastifyReply> {
  const content = await policyPage(options, request, null, tried);
  return sendOperatorPage(reply, policyHref, { ...content, status });
}
