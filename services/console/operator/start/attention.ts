import { boostPhase } from '../../../../shared/domain/boost.ts';
import type { TenantRecord } from '../../../../shared/domain/tenant.ts';
import { counted } from '../../../../shared/domain/text/counted.ts';
import { shareOf } from '../../../../shared/tenants/list/limit-shares.ts';
import type { FullestLimit } from '../../../../shared/tenants/list/limit-shares.ts';
import type { ListedTenant } from '../../../../shared/tenants/list/list.ts';
import { orderTenants } from '../../../../shared/tenants/list/select.ts';
import { openRequestCount } from '../../../../shared/tenants/limit-requests/list-requests.ts';
import { blockNow } from '../../../../shared/tenants/block.ts';

/** Something that an operator should look into. */
export interface AttentionItem {
  readonly tone: 'bad' | 'warn' | 'plain';
  readonly sentence: string;
  readonly href: string;
}

const expiringMs = 24 * 3_600_000;
const nearShare = 0.8;
/** Refusals of today are unusual from this number on, if they are this many times those of a usual day. */
const refusedMin = 20;
const refusedFactor = 3;

/** What the records of tenants and the state of Redis show, worst first. */
export function attentionNow(
  records: readonly TenantRecord[],
  redisUnavailable: boolean,
  nowMs: number,
): readonly AttentionItem[] {
  const requests = openRequestCount(records);
  const blocked = records.filter((record) => blockNow(record, nowMs) !== null).length;
  const expiring = records
    .flatMap(({ boosts = [] }) => boosts)
    .filter(
      (boost) => boostPhase(boost, nowMs) === 'running' && Date.parse(boost.ends_at) - nowMs < expiringMs,
    ).length;
  return itemsOf([
    redisUnavailable && {
      tone: 'bad',
      sentence: 'Redis does not answer: gateways decide by themselves.',
      href: '/operator/pipeline',
    },
    requests > 0 && {
      tone: 'warn',
      sentence: `${counted(requests, 'request for a higher limit waits', 'requests for higher limits wait')} for an answer.`,
      href: '/operator/requests',
    },
    blocked > 0 && {
      tone: 'plain',
      sentence: `${counted(blocked, 'tenant is', 'tenants are')} blocked.`,
      href: '/operator/tenants?state=blocked',
    },
    expiring > 0 && {
      tone: 'plain',
      sentence: `${counted(expiring, 'raised limit ends', 'raised limits end')} within a day.`,
      href: '/operator/tenants?state=boosted',
    },
  ]);
}

/** The tenants with requests today, those with the most first. */
export function busiestOf(tenants: readonly ListedTenant[]): readonly ListedTenant[] {
  const active = tenants.filter(({ requests_today: today }) => (today ?? 0) > 0);
  return orderTenants(active, 'requests', true);
}

/** What the usage of tenants shows: limits that are nearly used up, and unusually many refusals. */
export function attentionOfUsage(
  tenants: readonly ListedTenant[],
  fullest: ReadonlyMap<string, FullestLimit>,
): readonly AttentionItem[] {
  const near = [...fullest.values()].filter((limit) => (shareOf(limit) ?? 0) >= nearShare).length;
  const refused = tenants.filter(isRefusedMuch).length;
  return itemsOf([
    refused > 0 && {
      tone: 'bad',
      sentence: `${counted(refused, 'tenant is', 'tenants are')} refused much more often than usual today.`,
      href: '/operator/tenants?sort=refused',
    },
    near > 0 && {
      tone: 'warn',
      sentence: `${counted(near, 'tenant has', 'tenants have')} used 80 % or more of a limit.`,
      href: '/operator/tenants?sort=share',
    },
  ]);
}

/** Messages that could not be read. `more`: the list has further ones. */
export function attentionOfLetters(letters: number, more: boolean): readonly AttentionItem[] {
  return itemsOf([
    letters > 0 && {
      tone: 'bad',
      sentence: `${more ? 'More than ' : ''}${counted(letters, 'message', 'messages')} could not be read.`,
      href: '/operator/dead-letters',
    },
  ]);
}

function isRefusedMuch({ limited_today: today, limited_week: week }: ListedTenant): boolean {
  return today !== null && week !== null && today >= refusedMin && today > (refusedFactor * week) / 7;
}

/** The items whose condition holds. */
export function itemsOf(items: readonly (AttentionItem | false)[]): readonly AttentionItem[] {
  return items.filter((item) => item !== false);
}
