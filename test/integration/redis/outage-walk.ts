import { expect } from 'vitest';
import type { Limit } from '../../../shared/domain/limit.ts';
import type { CheckRequest } from '../../../shared/redis/decision/check.ts';
import type { RedisClient } from '../../../shared/redis/client.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { uniqueName } from '../../support/servers.ts';
import { createCutOffNode } from './cut-off-node.ts';
import type { CutOffNode, Link } from './cut-off-node.ts';
import { limiterOn, requestOf } from './limiters.ts';
import { mostInAnySpan } from './model.ts';

export const hourMs = 3_600_000;
/** In the middle of an hour, so that no period ends during a sequence of steps. */
const startMs = Date.UTC(2026, 0, 31, 10, 20);

export interface Admitted {
  readonly atMs: number;
  readonly units: number;
  readonly node: number;
  readonly isLocal: boolean;
  /** Time at which ClickHouse has the event. */
  readonly storedMs: number;
}

export type Step =
  | {
      readonly kind: 'check';
      readonly node: number;
      readonly cost: number;
      readonly times: number;
      readonly delayMs: number;
    }
  | { readonly kind: 'link'; readonly node: number; readonly link: Link }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'raise' | 'flush' }
  | { readonly kind: 'restart'; readonly node: number };

/** One random sequence of steps: the nodes, the model, and a limiter of the test that always reaches Redis. */
export class Walk {
  nowMs = startMs;
  readonly clock = { now: () => this.nowMs };
  readonly admitted: Admitted[] = [];
  readonly prefix = uniqueName('cut');
  readonly redis: RedisClient;
  readonly limit: Limit;
  readonly limits: readonly Limit[];
  readonly nodeCount: number;
  /** Whether a check ran although its reply was lost. */
  readonly checksRunOnMute: boolean;
  readonly nodes: CutOffNode[];
  readonly reader: Limiter;

  constructor(redis: RedisClient, limit: Limit, nodeCount: number, checksRunOnMute: boolean) {
    this.redis = redis;
    this.limit = limit;
    this.limits = [limit];
    this.nodeCount = nodeCount;
    this.checksRunOnMute = checksRunOnMute;
    this.nodes = Array.from({ length: nodeCount }, () => this.newNode());
    this.reader = limiterOn(this.redis, this.prefix, { clock: this.clock, redisTime: this.clock });
  }

  newNode(): CutOffNode {
    const { redis, prefix, clock, nodeCount, checksRunOnMute } = this;
    return createCutOffNode({ redis, prefix, clock, nodes: nodeCount, checksRunOnMute });
  }

  async run(step: Step): Promise<void> {
    const at = 'node' in step ? step.node % this.nodeCount : 0;
    const chosen = this.nodes[at];
    if (chosen === undefined) return;
    if (step.kind === 'check') await this.check(at, step);
    else if (step.kind === 'link') await setLink(chosen, step.link);
    else if (step.kind === 'wait') this.nowMs += step.ms;
    else if (step.kind === 'raise') await this.raise();
    else if (step.kind === 'flush') await this.flush();
    else this.restart(at);
  }

  async check(at: number, step: Step & { readonly kind: 'check' }): Promise<void> {
    for (let count = 0; count < step.times; count += 1) await this.checkOnce(at, step.cost, step.delayMs);
  }

  async checkOnce(at: number, cost: number, delayMs: number): Promise<void> {
    const decided = await this.nodes[at]?.check(this.request({ cost }));
    if (decided === undefined || decided.states.some(({ violated }) => violated)) return;
    const storedMs = this.nowMs + delayMs;
    this.admitted.push({ atMs: this.nowMs, units: cost, node: at, isLocal: decided.degraded, storedMs });
  }

  request(changes: Partial<CheckRequest>): CheckRequest {
    return requestOf(this.limits, { tenantId: 'acme', ...changes });
  }

  /** Compares and restores the counters as the reconciler does when a total is announced. */
  async raise(): Promise<void> {
    const stored = this.admitted.filter(({ storedMs }) => storedMs <= this.nowMs);
    const consumed = stored.reduce((sum, { units }) => sum + units, 0);
    await this.reader.raiseQuota('acme', this.limit, Math.floor(startMs / hourMs) * hourMs, consumed);
  }

  async flush(): Promise<void> {
    const keys = await this.redis.keys(`${this.prefix}:*`);
    if (keys.length > 0) await this.redis.del(...keys);
  }

  restart(at: number): void {
    this.nodes[at]?.close();
    const link = this.nodes[at]?.link ?? 'up';
    this.nodes[at] = Object.assign(this.newNode(), { link });
  }

  /** Restores every connection, and makes every node count its own units in Redis. */
  async reconnectAll(): Promise<void> {
    for (const each of this.nodes) {
      each.link = 'up';
      expect(await each.reconnect()).toBe(true);
    }
  }

  /** Used units in Redis, which may be above the limit. */
  async counted(): Promise<number> {
    const wide = [{ ...this.limit, limit: 1_000 }];
    const { states } = await this.reader.check({ ...this.request({ peek: true }), limits: wide });
    return 1_000 - (states[0]?.remaining ?? 0);
  }

  /** Units that all nodes admitted in the window that ends now, summed from `admitted`. */
  used(): number {
    const fromMs = this.limit.type === 'quota' ? 0 : this.nowMs - this.limit.windowMs;
    return this.admitted.filter(({ atMs }) => atMs > fromMs).reduce((sum, { units }) => sum + units, 0);
  }

  async close(): Promise<void> {
    for (const each of this.nodes) each.close();
    await this.reader.close();
  }
}

/** Changes the link. Unless it is down, a node with an open circuit runs its backfill, as after a successful probe. */
async function setLink(node: CutOffNode, link: Link): Promise<void> {
  node.link = link;
  if (link !== 'down') await node.reconnect();
}

export function expectBounds({ admitted, limit, nodeCount, checksRunOnMute }: Walk): void {
  const spanMs = limit.type === 'quota' ? hourMs : limit.windowMs;
  const share = limit.limit === 0 ? 0 : Math.max(1, Math.floor(limit.limit / nodeCount));
  for (let at = 0; at < nodeCount; at += 1) {
    const own = admitted.filter(({ node: by, isLocal }) => by === at && isLocal);
    expect(mostInAnySpan(own, spanMs)).toBeLessThanOrEqual(share);
  }
  // A single node has a record of all units, except of checks whose reply was lost.
  const alone = nodeCount === 1 && !checksRunOnMute;
  expect(mostInAnySpan(admitted, spanMs)).toBeLessThanOrEqual(limit.limit + (alone ? 0 : nodeCount * share));
}
