import type { FastifyInstance } from 'fastify';
import { v7 as uuidv7 } from 'uuid';
import type { Policy } from '../../../shared/domain/policy.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { TenantRecords } from '../../../shared/tenants/records.ts';
import type { DeliveredAlert } from '../../../shared/clickhouse/queries/tenants/delivered-alerts.ts';
import type { Parts } from '../browser/parts.ts';
import { field } from '../components/form.ts';
import { formOf } from '../components/form-body.ts';
import { percent, title } from '../components/format.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { emptyState } from '../components/layout.ts';
import type { Notice, PageContent } from '../components/layout.ts';
import { table } from '../components/table.ts';
import type { Column } from '../components/table.ts';
import { notificationsFrom, textsOf } from './notification-form.ts';
import type { NotificationTexts } from './notification-form.ts';
import { createTestMessageRate } from './test-messages.ts';
import type { TestMessageRate, TestMessages } from './test-messages.ts';
import { forTenant } from './visitor.ts';
import type { Visitor } from './visitor.ts';

export interface NotificationSources {
  readonly records: TenantRecords;
  readonly testMessages: TestMessages;
  readonly policy: () => Policy;
  readonly reads: StoreReads;
  readonly clock: Clock;
}

const shownMax = 20;
const deliveriesRefreshMs = 5_000;
/** A record has at most this number of thresholds. */
const thresholdsMax = 10;
const offered = [0.5, 0.8, 0.9, 1];

/**
 * Page of the tenant's notification settings: thresholds and targets. They are stored in the tenant's record, from
 * which the alerter reads them.
 */
export function registerNotifications(app: FastifyInstance, sources: NotificationSources): void {
  const here = '/notifications';
  const rate = createTestMessageRate(sources.clock);
  app.get(
    here,
    forTenant(here, (visitor, { request, parts }) =>
      content(
        sources,
        visitor,
        parts,
        textsOf(visitor.record?.notifications, sources.policy().alertThresholds),
        {
          notice: noticeFor((request.query as { done?: string }).done),
        },
      ),
    ),
  );
  app.post(
    here,
    forTenant(here, async (visitor, { request, reply, parts }) => {
      const form = formOf(request);
      const outcome = await sources.records.change(visitor.tenantId, visitor.access.actor, (record) =>
        notificationsFrom(form, record),
      );
      if (!outcome.ok)
        return content(sources, visitor, parts, textsOf(form), {
          status: 422,
          notice: { tone: 'bad', text: `Not saved. ${outcome.detail}` },
        });
      await reply.redirect(`${here}?done=saved`, 303);
      return null;
    }),
  );
  app.post(
    `${here}/test`,
    forTenant(here, async (visitor, { reply }) => {
      const sent = await sendTest(sources, visitor, rate);
      await reply.redirect(`${here}?done=${sent}`, 303);
      return null;
    }),
  );
}

async function sendTest(
  sources: NotificationSources,
  { tenantId, record }: Visitor,
  rate: TestMessageRate,
): Promise<string> {
  const { webhooks = [], slack = [], emails = [] } = record?.notifications ?? {};
  if (webhooks.length + slack.length + emails.length === 0) return 'no-target';
  if (!rate.accepts(tenantId)) return 'too-many';
  const at = new Date(sources.clock.now()).toISOString();
  await sources.testMessages.send({
    id: uuidv7(),
    kind: 'test',
    tenant_id: tenantId,
    plan: record?.plan ?? sources.policy().defaultPlan,
    limit_name: 'test',
    threshold: 0,
    period: at,
    limit: 0,
    used: 0,
    exhausted_at: null,
    at,
  });
  return 'tested';
}

function noticeFor(done: string | undefined): Notice | null {
  const notices: Readonly<Record<string, Notice>> = {
    saved: { tone: 'good', text: 'Saved. It takes effect within seconds.' },
    tested: {
      tone: 'good',
      text: 'A test message is on its way to every target; its delivery shows below within seconds.',
    },
    'too-many': { tone: 'bad', text: 'Not sent: five test messages in ten minutes are the most.' },
    'no-target': {
      tone: 'bad',
      text: 'There is no target yet. Save a webhook, Slack address or e-mail first.',
    },
  };
  return (Object.hasOwn(notices, done ?? '') ? notices[done ?? ''] : null) ?? null;
}

async function content(
  sources: NotificationSources,
  { tenantId, usage, zone }: Visitor,
  parts: Parts,
  texts: NotificationTexts,
  { notice = null, status = 200 }: { notice?: Notice | null; status?: number },
): Promise<PageContent> {
  const log = await parts.render(
    'deliveries',
    'The delivery log',
    async () => {
      const alerts = await sources.reads.orNull(usage.alerts(tenantId, shownMax));
      return deliveries(alerts, zone);
    },
    { refreshMs: deliveriesRefreshMs },
  );
  const body = html`<div class="page-head">
      <div>
        <h1>Notifications</h1>
        <p class="lead">
          Hear about it before a limit is reached: once for each limit, period and threshold.
        </p>
      </div>
    </div>
    <div class="columns">
      <section class="card">${settingsForm(texts)}</section>
      <section class="card stack">
        <h2>Try it</h2>
        <p class="soft">Sends a test message to every saved target.</p>
        <form method="post" action="/notifications/test">
          <button class="second" type="submit">Send a test message</button>
        </form>
      </section>
    </div>
    <section class="card">
      <h2 class="card-head">Recent notifications</h2>
      ${log}
    </section>`;
  return { title: 'Notifications', body, notice, status };
}

/** The offered thresholds and those of the record. A refused form may have any number of them. */
function shownThresholds(thresholds: readonly number[]): readonly number[] {
  return [...new Set([...offered, ...thresholds.slice(0, thresholdsMax)])].toSorted((a, b) => a - b);
}

function settingsForm(texts: NotificationTexts): Html {
  return html`<form method="post" action="/notifications">
    <fieldset>
      <legend>Notify me when this much of a limit is used</legend>
      <div class="checks">
        ${shownThresholds(texts.thresholds).map(
          (threshold) =>
            html`<label
              ><input
                type="checkbox"
                name="threshold"
                value="${threshold}"
                ${texts.thresholds.includes(threshold) ? html`checked` : null}
              />
              ${percent(threshold)}</label
            >`,
        )}
      </div>
      <p class="hint">None ticked: no notifications about quotas.</p>
    </fieldset>
    ${field({
      name: 'other_thresholds',
      label: 'Other shares, in percent',
      value: texts.otherThresholds,
      placeholder: '60, 95',
    })}
    <div class="field">
      <label for="webhooks">Webhooks</label>
      <textarea
        class="mono"
        id="webhooks"
        name="webhooks"
        aria-describedby="webhooks-hint"
        placeholder="https://example.com/hooks/limits"
      >
${texts.webhooks}</textarea>
      <p class="hint" id="webhooks-hint">
        One address a line. Messages are signed (Standard
        Webhooks)${texts.secrets.length === 0 ? '; the secret shows here once saved.' : ':'}
      </p>
      ${texts.secrets.map(({ url, secret }) => html`<p class="small hint">Secret for ${url}: <code>${secret}</code></p>`)}
    </div>
    <div class="field">
      <label for="slack">Slack-compatible webhooks</label>
      <textarea class="mono" id="slack" name="slack" placeholder="https://hooks.slack.com/services/…">
${texts.slack}</textarea>
      <p class="hint">One address a line.</p>
    </div>
    <div class="field">
      <label for="emails">E-mail</label>
      <textarea id="emails" name="emails" placeholder="dev@example.com">${texts.emails}</textarea>
      <p class="hint">One address a line, at most ten.</p>
    </div>
    <div class="actions"><button type="submit">Save</button></div>
  </form>`;
}

function deliveries(alerts: readonly DeliveredAlert[] | null, zone: string): Html {
  const columns: readonly Column<DeliveredAlert>[] = [
    { title: 'When', kind: 'time', cell: ({ time }) => formatTime(time, zone) },
    {
      title: 'What',
      cell: (alert) =>
        html`${title(alert.kind)}${alert.kind === 'test' ? null : html`: ${alert.limit_name} at ${percent(alert.threshold)}`}`,
    },
    { title: 'To', cell: ({ channel, target }) => html`${channel} <span class="soft">${target}</span>` },
    {
      title: 'Delivery',
      cell: ({ status, error }) =>
        html`<span class="badge ${error === '' ? 'good' : 'bad'}">${status}</span>
          ${error === '' ? null : html`<span class="soft small">${error}</span>`}`,
    },
  ];
  return table({
    caption: 'The delivery log',
    columns,
    rows: alerts,
    empty: emptyState(
      'None yet',
      'When a limit fills up, what was sent, and whether it arrived, shows here.',
    ),
  });
}
