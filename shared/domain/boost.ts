import type { Boost, TenantRecord } from './tenant.ts';

/** Whether a boost is in force at `nowMs`: from its start (inclusive) to its end (exclusive). */
export type BoostPhase = 'planned' | 'running' | 'ended';

export function boostPhase({ starts_at: start, ends_at: end }: Boost, nowMs: number): BoostPhase {
  if (Date.parse(end) <= nowMs) return 'ended';
  return Date.parse(start) > nowMs ? 'planned' : 'running';
}

/** The boosts of a tenant that are in force at `nowMs`. */
export function runningBoosts(record: TenantRecord | null, nowMs: number): readonly Boost[] {
  return (record?.boosts ?? []).filter((boost) => boostPhase(boost, nowMs) === 'running');
}

/** Unix milliseconds at which boosts of a tenant begin or end, unsorted. */
export function boostTransitionsMs(record: TenantRecord | null): readonly number[] {
  return (record?.boosts ?? []).flatMap((boost) => [Date.parse(boost.starts_at), Date.parse(boost.ends_at)]);
}
