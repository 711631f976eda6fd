import { completeFromText } from '../../../shared/domain/text/complete-from.ts';
import { dateAt, periodAt } from '../../../shared/domain/time/calendar.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { UsageReader } from '../../../shared/tenants/usage-reader.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';

/** Time up to which the totals and graphs on the page are complete. */
export interface Freshness {
  /** The time as ISO 8601; null before the first event. */
  readonly complete_through: string | null;
  /** False if ClickHouse did not answer. */
  readonly freshness_known: boolean;
}

export interface FreshnessSources {
  readonly usage: Pick<UsageReader, 'completeThrough'>;
  readonly reads: StoreReads;
}

export async function readFreshness({ usage, reads }: FreshnessSources): Promise<Freshness> {
  const reading = await reads.orNull(usage.completeThrough().then((through) => ({ through })));
  return { complete_through: reading?.through ?? null, freshness_known: reading !== null };
}

/** A line about freshness. Every page with totals shows it. */
export function freshnessLine({ complete_through: through, freshness_known: known }: Freshness): Html {
  if (!known) return html`<span class="soft small">Freshness unknown: the usage log does not answer</span>`;
  if (through === null) return html`<span class="soft small" data-fresh>Nothing recorded yet</span>`;
  return html`<span class="soft small number" data-fresh
    >Complete through <time datetime="${through}">${formatTime(through)}</time></span
  >`;
}

/**
 * States from which day figures are complete that are counted from single events; null if all events since `startMs` are stored.
 * Every page that counts single events over days shows it, so that a sum which is too low never looks complete.
 */
export function expiredText(startMs: number, storedSinceMs: number | null, zone: string): string | null {
  if (storedSinceMs === null || startMs >= storedSinceMs) return null;
  const { startMs: dayMs, endMs } = periodAt('day', zone === 'UTC' ? null : zone, storedSinceMs);
  const first = dateAt(zone, dayMs === storedSinceMs ? dayMs : endMs);
  return completeFromText(first);
}

export function expiredNotice(...when: Parameters<typeof expiredText>): Html | null {
  const text = expiredText(...when);
  return text === null ? null : html`<p class="notice warn" data-expired>${text}</p>`;
}
