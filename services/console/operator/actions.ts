import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ConsoleParts } from '../console.ts';
import { html } from '../pages/html.ts';
import { formOf } from '../portal/sign-in.ts';
import { done as success, refused } from '../problem.ts';
import type { Outcome } from '../problem.ts';
import { removeKey } from '../tenants/api-keys.ts';
import { block, unblock } from '../tenants/block.ts';
import type { BlockRequest } from '../tenants/block.ts';
import { addBoost, endBoost } from '../tenants/boosts.ts';
import type { BoostRequest } from '../tenants/boosts.ts';
import { actionForOperator, sendOperatorPage } from './signed-in.ts';
import { planFrom } from './plan-form.ts';
import { spanEnd } from './span-end.ts';

interface Action {
  readonly id: string;
  readonly name: string;
  readonly form: URLSearchParams;
  readonly params: Readonly<Record<string, string>>;
}

const base = '/operator/tenants/:id';

/** What the forms of a tenant's page do: the same edits as the admin API's. */
export function registerActions(app: FastifyInstance, parts: ConsoleParts): void {
  const { records, resets, sessions, policy, clock } = parts;
  const on = (path: string, done: string, act: (action: Action) => Promise<Outcome<unknown>>): void => {
    app.post(
      `${base}${path}`,
      actionForOperator((name, request, reply) => run(name, request, reply, done, act)),
    );
  };
  on('/plan', 'saved', ({ id, name, form }) =>
    records.change(id, name, (record) => planFrom(form, record, policy())),
  );
  on('/boosts', 'boosted', ({ id, name, form }) =>
    records.change(id, name, (record) =>
      addBoost(record, boostFrom(form, name, clock.now()), policy(), clock.now()),
    ),
  );
  on('/boosts/:boostId/end', 'boost-ended', ({ id, name, params }) =>
    records.change(id, name, (record) => endBoost(record, params['boostId'] ?? '', clock.now())),
  );
  on('/block', 'blocked', ({ id, name, form }) =>
    records.change(id, name, (record) => block(record, blockFrom(form, clock.now()), name, clock.now())),
  );
  on('/unblock', 'unblocked', ({ id, name }) => records.change(id, name, unblock));
  on('/reset', 'reset', ({ id, name, form }) =>
    (form.get('confirm') ?? '').trim() === id
      ? resets.tenant(id, name, form.get('reason') ?? '')
      : Promise.resolve(refused(422, 'Not reset', 'The id you typed is not this tenant’s.')),
  );
  on('/sessions/end', 'sessions-ended', async ({ id, name }) => {
    await sessions.endAllOf(id, name);
    return success(null);
  });
  on('/api-keys/:hash/delete', 'key-deleted', ({ id, name, params }) =>
    records.change(id, name, (record) => removeKey(record, params['hash'] ?? '')),
  );
}

async function run(
  name: string,
  request: FastifyRequest,
  reply: FastifyReply,
  done: string,
  act: (action: Action) => Promise<Outcome<unknown>>,
): Promise<FastifyReply> {
  const params = request.params as Record<string, string>;
  const id = params['id'] ?? '';
  const outcome = await act({ id, name, form: formOf(request), params });
  const back = `/operator/tenants/${encodeURIComponent(id)}`;
  if (outcome.ok) return reply.redirect(`${back}?done=${done}`, 303);
  const body = html`<section class="card narrow stack">
    <h1>${outcome.title}</h1>
    <p>${outcome.detail}</p>
    <p><a href="${back}">Back to the tenant</a></p>
  </section>`;
  return sendOperatorPage(
    reply,
    name,
    '/operator/tenants',
    { title: outcome.title, body, status: outcome.status },
    null,
  );
}

function boostFrom(form: URLSearchParams, actor: string, nowMs: number): BoostRequest {
  const text = (form.get('value') ?? '').trim();
  // `Number` reads an empty field as 0, which would refuse all requests.
  const value = text === '' ? Number.NaN : Number(text);
  return {
    limit: form.get('limit') ?? '',
    ...(form.get('how') === 'set_to' ? { set_to: value } : { multiply: value }),
    ends_at: spanEnd(form, nowMs) ?? '',
    reason: (form.get('reason') ?? '').trim(),
    actor,
  };
}

function blockFrom(form: URLSearchParams, nowMs: number): BlockRequest {
  return { until: spanEnd(form, nowMs), reason: (form.get('reason') ?? '').trim() };
}
