import type { FailingTarget } from '../../../../shared/clickhouse/queries/installation/failing-targets.ts';
import type { GatewayReport, LossAuditReport } from '../../../../shared/domain/operators/process-report.ts';
import { durationForReading } from '../../../../shared/domain/time/format-duration.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { count, counted } from '../../../../shared/domain/text/counted.ts';
import { tenantHref } from '../../components/links.ts';
import { itemsOf } from './attention.ts';
import type { AttentionItem } from './attention.ts';

const pipelineHref = '/operator/pipeline';
const policyHref = '/operator/policy';
/** Gateways report every two seconds. */
const silentMs = 15_000;
const recentlyMs = 15 * 60_000;
/** By default, loss audits run every five minutes. */
const auditLateMs = 30 * 60_000;
const behindMs = 60_000;
/** More items of one kind are stated as a number. */
const itemsMax = 10;

/** What the reports of gateways show. `revision` is the policy in force in this process. */
export function attentionOfGateways(
  gateways: readonly GatewayReport[],
  revision: string,
  nowMs: number,
): readonly AttentionItem[] {
  if (gateways.length === 0)
    return [{ tone: 'plain', sentence: 'No gateway has reported within an hour.', href: pipelineHref }];
  return firstOf(gateways.flatMap((gateway) => itemsOfGateway(gateway, revision, nowMs)));
}

function itemsOfGateway(gateway: GatewayReport, revision: string, nowMs: number): readonly AttentionItem[] {
  const { name, at, without_redis_at: withoutRedisAt, redis_unavailable: servers } = gateway;
  const silent = nowMs - Date.parse(at);
  if (silent > silentMs) {
    const sentence = `Gateway ${name} has not reported for ${durationForReading(silent)}: it was killed, or it cannot reach Redis and decides without it.`;
    return [{ tone: 'bad', sentence, href: pipelineHref }];
  }
  const wasWithout = withoutRedisAt !== null && nowMs - Date.parse(withoutRedisAt) < recentlyMs;
  return itemsOf([
    servers > 0 && {
      tone: 'bad',
      sentence: `Gateway ${name} decides without ${counted(servers, 'Redis server')}: the circuit breaker is open.`,
      href: pipelineHref,
    },
    servers === 0 &&
      wasWithout && {
        tone: 'warn',
        sentence: `Gateway ${name} decided without Redis until ${formatTime(withoutRedisAt)}.`,
        href: pipelineHref,
      },
    gateway.spool_failure !== null && {
      tone: 'bad',
      sentence: `The spool of gateway ${name} cannot use its disk: ${gateway.spool_failure}`,
      href: pipelineHref,
    },
    gateway.refused_edit === null &&
      gateway.policy !== revision && {
        tone: 'warn',
        sentence: `Gateway ${name} applies revision ${gateway.policy} of the policy, not ${revision}.`,
        href: policyHref,
      },
  ]);
}

/** Edits of the policy file that were refused, here or at a gateway. `violations` is null if this process refused none. */
export function attentionOfPolicy(
  violations: readonly string[] | null,
  gateways: readonly GatewayReport[],
): readonly AttentionItem[] {
  const [first = '', ...others] = violations ?? [];
  const more = others.length === 0 ? '' : ` (and ${counted(others.length, 'further violation')})`;
  const elsewhere = violations === null ? gateways.filter((one) => one.refused_edit !== null) : [];
  return firstOf([
    ...itemsOf([
      violations !== null && {
        tone: 'bad',
        sentence: `The last edit of the policy file was refused: ${first}${more}`,
        href: `${policyHref}#refused`,
      },
    ]),
    ...elsewhere.map(({ name, refused_edit: edit }) => ({
      tone: 'bad' as const,
      sentence: `Gateway ${name} refused the last edit of its policy file: ${edit ?? ''}`,
      href: policyHref,
    })),
  ]);
}

/** What loss audits found. `last` is the newest audit, `loss` the newest with a loss; null: none of the last days. */
export function attentionOfLosses(
  { last, loss }: { readonly last: LossAuditReport | null; readonly loss: LossAuditReport | null },
  nowMs: number,
): readonly AttentionItem[] {
  const lateMs = last === null ? 0 : nowMs - Date.parse(last.at);
  const isCurrent = loss !== null && last !== null && loss.at === last.at;
  return itemsOf([
    loss !== null && {
      tone: isCurrent ? 'bad' : 'warn',
      sentence: `The loss audit of ${formatTime(loss.at)} found ${lossText(loss)}. “tollgate audit” names each of them.`,
      href: pipelineHref,
    },
    last === null && {
      tone: 'plain',
      sentence: 'No loss audit has reported within a week.',
      href: pipelineHref,
    },
    last?.is_failed === true && {
      tone: 'warn',
      sentence: `The loss audit of ${formatTime(last.at)} failed, so losses are unknown.`,
      href: pipelineHref,
    },
    lateMs > auditLateMs && {
      tone: 'warn',
      sentence: `The last loss audit was ${durationForReading(lateMs)} ago.`,
      href: pipelineHref,
    },
  ]);
}

function lossText(loss: LossAuditReport): string {
  const { lost_events: events, units_ahead: units, disagreeing_days: days, spools_set_back: spools } = loss;
  const parts = [
    events > 0 && counted(events, 'lost event'),
    units > 0 && `${count(units)} units that only Redis counted`,
    days > 0 && `${counted(days, 'day')} with totals that do not agree`,
    spools > 0 && counted(spools, 'spool that was set back', 'spools that were set back'),
  ];
  return parts.filter((part) => part !== false).join(', ');
}

/** Delay of the totals and lost counters. `through` is null before the first event; `rebuiltAt` if nothing was rebuilt. */
export function attentionOfPipeline(
  { through, rebuiltAt }: { readonly through: string | null; readonly rebuiltAt: string | null },
  nowMs: number,
): readonly AttentionItem[] {
  const delayMs = through === null ? 0 : nowMs - Date.parse(through);
  return itemsOf([
    delayMs > behindMs && {
      tone: 'bad',
      sentence: `Totals are ${durationForReading(delayMs)} behind: the aggregators do not keep up, or do not run.`,
      href: pipelineHref,
    },
    rebuiltAt !== null && {
      tone: 'warn',
      sentence: `Redis lost counters. They were rebuilt from ClickHouse from ${formatTime(rebuiltAt)} on.`,
      href: pipelineHref,
    },
  ]);
}

/** Targets of notifications that do not accept messages. */
export function attentionOfTargets(targets: readonly FailingTarget[]): readonly AttentionItem[] {
  return firstOf(
    targets.map(({ tenant_id: tenantId, channel, target, messages, error }) => ({
      tone: 'warn' as const,
      sentence: `${counted(messages, 'notification')} of ${tenantId} could not be delivered by ${channel} to ${target}: ${error}`,
      href: tenantHref(tenantId),
    })),
  );
}

function firstOf(items: readonly AttentionItem[]): readonly AttentionItem[] {
  const [further, last] = [items.length - itemsMax, items.at(-1)];
  if (further <= 0 || last === undefined) return items;
  const sentence = `${count(further)} more of this kind.`;
  return [...items.slice(0, itemsMax), { ...last, sentence }];
}
