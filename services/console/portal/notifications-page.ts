import type { FastifyInstance } from 'fastify';
import type { Policy } from '../../../shared/domain/policy.ts';
import { withinOr } from '../../../shared/runtime/within.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { readSeenPlan } from '../now/seen-plan.ts';
import type { Outcome } from '../../../shared/tenants/outcome.ts';
import type { Edit, TenantRecords } from '../../../shared/tenants/records.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { RefusedForm } from '../components/form.ts';
import { checks, field } from '../components/form.ts';
import { formOf } from '../components/form-body.ts';
import { percent } from '../components/format.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import type { Notice, PageContent } from '../components/layout.ts';
import { deliveryLog } from '../notifications/delivery-log.ts';
import { alertableLimits, limitsSection } from './alerts/limits-section.ts';
import { targetsSection } from './alerts/targets-section.ts';
import {
  limitSettingsFrom,
  thresholdTexts,
  thresholdsFrom,
  withTarget,
  withoutTarget,
} from './notification-form.ts';
import type { ThresholdTexts } from './notification-form.ts';
import { sendTest } from '../../../shared/tenants/test-messages/send-test.ts';
import type { TestMessageRate, TestMessages } from '../../../shared/tenants/test-messages/test-messages.ts';
import { forTenant } from './visitor.ts';
import type { Visit, Visitor } from './visitor.ts';

export interface NotificationSources {
  readonly records: TenantRecords;
  readonly testMessages: TestMessages;
  readonly testMessageRate: TestMessageRate;
  readonly policy: () => Policy;
  readonly reads: StoreReads;
  readonly clock: Clock;
}

const here = '/notifications';
const shownMax = 20;
const deliveriesRefreshMs = 2_000;
/** A record has at most this number of thresholds. */
const thresholdsMax = 10;
const offered = [0.5, 0.8, 0.9, 1];
/** Longest wait for the plan of a tenant without a record. After it, the limits of the default plan are shown. */
const planMsMax = 200;

/** The forms of the page, by the end of their address. */
const forms: Readonly<Record<string, (form: URLSearchParams, record: TenantRecord) => Outcome<Edit>>> = {
  '': thresholdsFrom,
  '/limits': limitSettingsFrom,
  '/targets': withTarget,
  '/targets/remove': (form, record) => withoutTarget(form.get('target') ?? '', record),
};

/**
 * Page of the tenant's notification settings: thresholds, settings of single limits, and targets. They are stored in
 * the tenant's record, from which the alerter reads them.
 */
export function registerNotifications(app: FastifyInstance, sources: NotificationSources): void {
  app.get(
    here,
    forTenant(here, (visitor, visit) =>
      content(sources, visitor, visit, {
        notice: noticeFor((visit.request.query as { done?: string }).done),
      }),
    ),
  );
  for (const [name, edit] of Object.entries(forms))
    app.post(
      `${here}${name}`,
      forTenant(here, (visitor, visit) => change(sources, visitor, visit, name, edit)),
    );
  app.post(
    `${here}/test`,
    forTenant(here, async (visitor, { request, reply }) => {
      const sent = await sendTestMessage(sources, visitor, formOf(request).get('target'));
      await reply.redirect(`${here}?done=${sent}`, 303);
      return null;
    }),
  );
}

async function change(
  sources: NotificationSources,
  visitor: Visitor,
  visit: Visit,
  name: string,
  edit: (form: URLSearchParams, record: TenantRecord) => Outcome<Edit>,
): Promise<PageContent | null> {
  const form = formOf(visit.request);
  const outcome = await sources.records.change(visitor.tenantId, visitor.access.actor, (record) =>
    edit(form, record),
  );
  if (!outcome.ok)
    return content(sources, visitor, visit, {
      status: outcome.status,
      notice: { tone: 'bad', text: `Not saved. ${outcome.detail}` },
      refused: { name, form, detail: outcome.detail },
    });
  await visit.reply.redirect(`${here}?done=saved`, 303);
  return null;
}

/** Sends a test message to one target, or to all of them if none is named. Returns the key of the notice. */
async function sendTestMessage(
  sources: NotificationSources,
  visitor: Visitor,
  targetId: string | null,
): Promise<string> {
  const result = await sendTest(sources, sources.testMessageRate, visitor, targetId);
  if (typeof result === 'string') return result;
  return targetId === null ? 'tested' : 'tested-one';
}

function noticeFor(done: string | undefined): Notice | null {
  const notices: Readonly<Record<string, Notice>> = {
    saved: { tone: 'good', text: 'Saved. It takes effect within seconds.' },
    tested: {
      tone: 'good',
      text: 'A test message is on its way to every target; its delivery shows below within seconds.',
    },
    'tested-one': {
      tone: 'good',
      text: 'A test message is on its way; its delivery shows below within seconds.',
    },
    'too-many': { tone: 'bad', text: 'Not sent: five test messages in ten minutes are the most.' },
    'no-target': {
      tone: 'bad',
      text: 'There is no target yet. Save a webhook, Slack address or e-mail first.',
    },
  };
  return (Object.hasOwn(notices, done ?? '') ? notices[done ?? ''] : null) ?? null;
}

interface Answer {
  readonly notice?: Notice | null;
  readonly status?: number;
  /** The form that was submitted and refused. */
  readonly refused?: { readonly name: string; readonly form: URLSearchParams; readonly detail: string };
}

async function content(
  sources: NotificationSources,
  visitor: Visitor,
  { parts }: Visit,
  { notice = null, status = 200, refused }: Answer,
): Promise<PageContent> {
  const { tenantId, usage, zone, record, access } = visitor;
  const settings = record?.notifications;
  const enteredIn = (name: string): URLSearchParams | null => (refused?.name === name ? refused.form : null);
  const log = await parts.render(
    'deliveries',
    'The delivery log',
    async () => {
      const alerts = await sources.reads.orNull(usage.alerts(tenantId, shownMax));
      return deliveryLog(alerts, zone);
    },
    { refreshMs: deliveriesRefreshMs },
  );
  // The refreshed log needs no page around it.
  if (parts.wanted !== null) return { title: 'Notifications', body: null };
  const { policy, clock } = sources;
  const limits = alertableLimits(policy(), record, await planOf(sources, visitor), clock.now());
  const texts = thresholdTexts(enteredIn('') ?? settings, policy().alertThresholds);
  const target = enteredIn('/targets');
  const refusedTarget: RefusedForm | null =
    target === null || refused === undefined
      ? null
      : { values: target, detail: refused.detail, field: 'address' };
  const body = html`<div class="page-head">
      <div>
        <h1>Notifications</h1>
        <p class="lead">
          Hear about it before a limit is reached: once for each limit, period and threshold.
        </p>
      </div>
    </div>
    <section class="card">${thresholdForm(texts, access.mayManage)}</section>
    ${limitsSection(limits, record, access.mayManage, enteredIn('/limits'))}
    ${targetsSection(settings, access.mayManage, refusedTarget)}
    <section class="card">
      <h2 class="card-head">Recent notifications</h2>
      ${log}
      <p class="hint">
        After a failure a message is sent again after 5 s, 25 s, 2 min, 10 min and 50 min, then every four
        hours for a day.
      </p>
    </section>`;
  return { title: 'Notifications', body, notice, status };
}

/** The plan of the tenant's latest request, if its record names none. Null if it is not known in time. */
function planOf(
  { reads, clock }: NotificationSources,
  { record, usage, tenantId }: Visitor,
): Promise<string | null> {
  const read = readSeenPlan({ usage, reads }, { tenantId, record }, clock.now());
  return withinOr(
    read.then(({ seenPlan }) => seenPlan),
    planMsMax,
    null,
  );
}

/** The offered thresholds and those of the record. A refused form may have any number of them. */
function shownThresholds(thresholds: readonly number[]): readonly number[] {
  return [...new Set([...offered, ...thresholds.slice(0, thresholdsMax)])].toSorted((a, b) => a - b);
}

function thresholdForm({ thresholds, otherThresholds }: ThresholdTexts, mayManage: boolean): Html {
  return html`<form method="post" action="/notifications">
    ${checks({
      ...{ name: 'threshold', legend: 'Notify me when this much of a quota is used' },
      options: shownThresholds(thresholds).map((share) => [String(share), percent(share)] as const),
      checked: thresholds.map(String),
      hint: 'None ticked: no notifications about quotas.',
    })}
    ${field({
      name: 'other_thresholds',
      label: 'Other shares, in percent',
      value: otherThresholds,
      placeholder: '60, 95',
    })}
    ${mayManage ? html`<div class="actions"><button type="submit">Save</button></div>` : null}
  </form>`;
}
