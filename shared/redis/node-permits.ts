import { LRUCache } from 'lru-cache';
import type { Limit, LimitState } from '../domain/limit.ts';
import { addressPart } from './keys.ts';
import type { Permit } from './permit.ts';
import type { Caller } from './subjects.ts';

/** Requests in flight on this node, by tenant and by address, under limits that each node counts alone (`perNode`). */
export interface NodePermits {
  /** Takes a permit of every limit, or of none. Answers with those that are full, shadow ones included. */
  take(limits: readonly Limit[], caller: Caller): readonly Limit[];
  /** Gives back what `take` took. The caller sees to it that it does so once. */
  give(limits: readonly Limit[], caller: Caller): void;
  close(): void;
}

const nodesIntervalMs = 1_000;
const addressesMax = 10_000;
const none: readonly Limit[] = [];

/** A node grants its part of each limit, so that all nodes together grant about the limit, whoever balances the load. */
export function createNodePermits(nodes: () => number): NodePermits {
  /** By limit, then by subject; only what is in flight has an entry. */
  const counts = new Map<string, Map<string, number>>();
  const networks = new LRUCache<string, string>({ max: addressesMax });
  let parts = Math.max(1, nodes());
  const timer = setInterval(() => (parts = Math.max(1, nodes())), nodesIntervalMs);
  timer.unref();
  return { take, give, close: () => clearInterval(timer) };

  function take(limits: readonly Limit[], caller: Caller): readonly Limit[] {
    let full = none;
    let refuses = false;
    for (const limit of limits) {
      const subject = subjectOf(limit, caller);
      if (subject === null || (countsOf(limit).get(subject) ?? 0) < partOf(limit)) continue;
      full = [...full, limit];
      refuses ||= limit.mode === 'enforce';
    }
    if (!refuses) for (const limit of limits) add(limit, caller, 1);
    return full;
  }

  function give(limits: readonly Limit[], caller: Caller): void {
    for (const limit of limits) add(limit, caller, -1);
  }

  function add(limit: Limit, caller: Caller, change: 1 | -1): void {
    const subject = subjectOf(limit, caller);
    if (subject === null) return;
    const inFlight = countsOf(limit);
    const left = (inFlight.get(subject) ?? 0) + change;
    if (left === 0) inFlight.delete(subject);
    else inFlight.set(subject, left);
  }

  function partOf({ limit }: Limit): number {
    return limit === 0 ? 0 : Math.max(1, Math.floor(limit / parts));
  }

  function countsOf({ name }: Limit): Map<string, number> {
    let found = counts.get(name);
    if (found === undefined) counts.set(name, (found = new Map<string, number>()));
    return found;
  }

  /** A caller without a tenant is bounded by its address alone. */
  function subjectOf({ per }: Limit, { tenantId, ip }: Caller): string | null {
    if (per[0] === 'tenant') return tenantId;
    // An IPv4 address, the common case, is its own subject.
    return ip.includes(':') ? networkOf(ip) : ip;
  }

  function networkOf(ip: string): string {
    let network = networks.get(ip);
    if (network === undefined) networks.set(ip, (network = addressPart(ip)));
    return network;
  }
}

interface Share {
  readonly counts: NodePermits;
  readonly limits: readonly Limit[];
  readonly caller: Caller;
  /** The limits that are full, which are in shadow. */
  readonly full: readonly LimitState[];
}

/** The permit of a request that also counts under its tenant's and its address's share. */
export class SharePermit implements Permit {
  readonly #inner: Permit;
  readonly #share: Share;
  #held = true;

  /** Releases the share where there was no other permit. */
  constructor(inner: Permit, share: Share) {
    this.#inner = inner;
    this.#share = share;
    if (!inner.granted) this.release();
  }

  get granted(): boolean {
    return this.#inner.granted;
  }

  get states(): readonly LimitState[] {
    return this.#inner.states;
  }

  get full(): readonly LimitState[] {
    const { full } = this.#share;
    return full.length === 0 ? this.#inner.full : [...full, ...this.#inner.full];
  }

  get degraded(): boolean {
    return this.#inner.degraded;
  }

  release(): void {
    if (this.#held) this.#share.counts.give(this.#share.limits, this.#share.caller);
    this.#held = false;
    this.#inner.release();
  }
}
