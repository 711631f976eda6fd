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
/** Longest time that a loss audit is expected to run, with a reserve. */
const auditRunMs = 20 * 60_000;
const behindMs = 60_000;
/** Further items of a list are only counted. */
const itemsMax = 10;
const silentNamesMax = 5;

/**
 * What the reports of gateways show: first the faults of gateways that report, then the gateways that no longer report.
 * `revision` is the policy in force in this process.
 */
export function attentionOfGateways(
  gateways: readonly GatewayReport[],
  revision: string,
  nowMs: number,
): readonly AttentionItem[] {
  const isSilent = ({ at }: GatewayReport): boolean => nowMs - Date.parse(at) > silentMs;
  const faults = gateways
    .filter((gateway) => !isSilent(gateway))
    .flatMap((gateway) => itemsOfGateway(gateway, revision, nowMs));
  const urgentFirst = faults.toSorted((a, b) => Number(b.tone === 'bad') - Number(a.tone === 'bad'));
  return [...firstOf(urgentFirst), ...itemsOfSilent(gateways.filter(isSilent), nowMs)];
}

/** No gateway reports. `hasServed` states whether a gateway recorded requests in the last month; null: unknown. */
export function attentionWithoutGateways(hasServed: boolean | null): readonly AttentionItem[] {
  if (hasServed === false)
    return [
      {
        tone: 'plain',
        sentence: 'No gateway reports, and none served a request in the last month.',
        href: pipelineHref,
      },
    ];
  return [{ tone: 'bad', sentence: 'No gateway has reported within an hour.', href: pipelineHref }];
}

/** One sentence for all of them, because a rollout can leave as many as there are gateways. The last report comes first. */
function itemsOfSilent(silent: readonly GatewayReport[], nowMs: number): readonly AttentionItem[] {
  const [latest, ...others] = silent.toSorted((a, b) => (a.at > b.at ? -1 : 1));
  if (latest === undefined) return [];
  const lastly = durationForReading(nowMs - Date.parse(latest.at));
  const names = [latest, ...others.slice(0, silentNamesMax - 1)].map(({ name }) => name).join(', ');
  const further = silent.length - silentNamesMax;
  const more = further > 0 ? ` and ${count(further)} more` : '';
  const sentence =
    others.length === 0
      ? `Gateway ${latest.name} has not reported for ${lastly}: it was killed, or it cannot reach Redis and decides without it.`
      : `${count(silent.length)} gateways have not reported for ${lastly} or longer: ${names}${more}. They were killed, or they cannot reach Redis and decide without it.`;
  return [{ tone: 'bad', sentence, href: pipelineHref }];
}

function itemsOfGateway(gateway: GatewayReport, revision: string, nowMs: number): readonly AttentionItem[] {
  const { name, without_redis_at: withoutRedisAt, redis_unavailable: servers } = gateway;
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

/**
 * What loss audits found. `last` is the newest audit, `loss` the newest with a loss. Null: none within the seven days that reports
 * are kept. A loss stays urgent until an audit that did not fail finds none.
 */
export function attentionOfLosses(
  { last, loss }: { readonly last: LossAuditReport | null; readonly loss: LossAuditReport | null },
  nowMs: number,
): readonly AttentionItem[] {
  const agoMs = last === null ? 0 : nowMs - Date.parse(last.at);
  const isLate = last !== null && agoMs > 2 * last.interval_ms + auditRunMs;
  const isOpen = last === null || last.is_failed || loss?.at === last.at;
  return itemsOf([
    loss !== null && {
      tone: isOpen ? 'bad' : 'warn',
      sentence: `The loss audit of ${formatTime(loss.at)} found ${lossText(loss)}. “tollgate audit” names each of them.`,
      href: pipelineHref,
    },
    last === null && {
      tone: 'warn',
      sentence: 'No loss audit has reported within a week.',
      href: pipelineHref,
    },
    last?.is_failed === true && {
      tone: 'warn',
      sentence: `The loss audit of ${formatTime(last.at)} failed, so losses are unknown.`,
      href: pipelineHref,
    },
    last?.is_failed === false &&
      last.units_ahead === null && {
        tone: 'warn',
        sentence: `The loss audit of ${formatTime(last.at)} did not compare the counters of Redis, because the totals were late.`,
        href: pipelineHref,
      },
    isLate && {
      tone: 'warn',
      sentence: `The last loss audit was ${durationForReading(agoMs)} ago.`,
      href: pipelineHref,
    },
  ]);
}

function lossText(loss: LossAuditReport): string {
  const { lost_events: events, units_ahead: units, disagreeing_days: days, spools_set_back: spools } = loss;
  const parts = [
    events > 0 && `${loss.is_cut ? 'at least ' : ''}${counted(events, 'lost event')}`,
    units !== null && units > 0 && `${counted(units, 'unit')} that only Redis counted`,
    days > 0 && `${counted(days, 'day')} with totals that do not agree`,
    spools > 0 && counted(spools, 'spool that was set back', 'spools that were set back'),
  ];
  return parts.filter((part) => part !== false).join(', ');
}

/**
 * Delay of the totals and rebuilt counters. `through` is null before an aggregator has read an event; `rebuiltAt` is null if nothing
 * was rebuilt.
 */
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
      sentence: `Counters of Redis were rebuilt from ClickHouse from ${formatTime(rebuiltAt)} on, after a restart or a loss.`,
      href: pipelineHref,
    },
    through === null && {
      tone: 'plain',
      sentence: 'No aggregator has read an event yet, so there are no totals.',
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
  const next = items[itemsMax];
  if (next === undefined) return items;
  const sentence = `${count(items.length - itemsMax)} more of this kind.`;
  return [...items.slice(0, itemsMax), { ...next, sentence }];
}
