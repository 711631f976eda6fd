import { Counter } from 'prom-client';
import { readConsumed } from '../../shared/clickhouse/consumed.ts';
import type { Consumed } from '../../shared/clickhouse/consumed.ts';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import type { Limiter } from '../../shared/redis/limiter.ts';
import type { Registry } from '../../shared/runtime/ops.ts';
import type { Drift } from './drift.ts';
import type { Heal } from './heals.ts';

export interface Healer {
  /**
   * `counter = max(counter, total)` for each heal; where ClickHouse has to be asked, it is asked once for all tenants with
   * the same start. Rejects when Redis or ClickHouse does not answer; what was raised by then stays raised, and the
   * whole may be repeated.
   */
  heal(heals: readonly Heal[]): Promise<void>;
}

export interface HealerOptions {
  readonly limiter: Limiter;
  readonly clickhouse: ClickHouse;
  readonly drift: Drift;
  readonly registry: Registry;
}

/** Raises in flight at once: enough to hide the round trip, few enough to leave Redis free for checks. */
const raisesMax = 200;

export function createHealer({ limiter, clickhouse, drift, registry }: HealerOptions): Healer {
  const compared = new Counter({
    name: 'tollgate_quota_comparisons_total',
    help: 'Quota counters compared with ClickHouse, by whether they were raised or right already.',
    labelNames: ['outcome'],
    registers: [registry],
  });
  const raisedUnits = new Counter({
    name: 'tollgate_quota_raised_units_total',
    help: 'Units by which quota counters in Redis were raised because ClickHouse knew of more.',
    registers: [registry],
  });
  return { heal };

  async function heal(heals: readonly Heal[]): Promise<void> {
    const asked = await ask(heals);
    for (let from = 0; from < heals.length; from += raisesMax) {
      await Promise.all(heals.slice(from, from + raisesMax).map((one) => raise(one, asked)));
    }
  }

  async function raise(one: Heal, asked: Answers): Promise<void> {
    const { tenantId, quota, span, zone, resetAtMs } = one;
    const consumed = one.consumed ?? asked.units(one, span.startMs);
    // What was counted before a reset no longer counts. Redis remembers that too, unless it lost it.
    const leastBaseline = resetAtMs === null ? 0 : Math.max(0, consumed - asked.units(one, resetAtMs));
    const { before, after } = await limiter.raiseQuota(tenantId, quota, span.startMs, consumed, {
      leastBaseline,
      ...(zone === null ? {} : { timeZone: zone }),
    });
    compared.inc({ outcome: after > before ? 'raised' : 'right' });
    raisedUnits.inc(after - before);
    drift.record(JSON.stringify([tenantId, quota.name, quota.route]), before - (consumed - leastBaseline));
  }

  /** Reads what the heals leave open: the whole span where `consumed` is null, and what came after a reset. */
  async function ask(heals: readonly Heal[]): Promise<Answers> {
    const tenantsByStart = new Map<number, Set<string>>();
    for (const { tenantId, consumed, span, resetAtMs } of heals) {
      for (const startMs of [consumed === null ? span.startMs : null, resetAtMs]) {
        if (startMs === null) continue;
        const tenants = tenantsByStart.get(startMs) ?? new Set();
        tenantsByStart.set(startMs, tenants.add(tenantId));
      }
    }
    const answers = new Map<string, number>();
    for (const [fromMs, tenants] of tenantsByStart) {
      for (const row of await readConsumed(clickhouse, { fromMs, tenantIds: [...tenants] })) {
        addTo(answers, fromMs, row);
      }
    }
    return {
      units: ({ tenantId, quota }, fromMs) => answers.get(answerKey(fromMs, tenantId, quota.route)) ?? 0,
    };
  }
}

interface Answers {
  /** Units of the heal's tenant and route from an instant that was asked about; none were consumed where none came back. */
  units(heal: Heal, fromMs: number): number;
}

function addTo(answers: Map<string, number>, fromMs: number, { tenant_id, route, units }: Consumed): void {
  for (const counted of [null, route]) {
    const key = answerKey(fromMs, tenant_id, counted);
    answers.set(key, (answers.get(key) ?? 0) + units);
  }
}

function answerKey(fromMs: number, tenantId: string, route: string | null): string {
  return JSON.stringify([fromMs, tenantId, route]);
}
