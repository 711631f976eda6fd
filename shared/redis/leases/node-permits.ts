import { LRUCache } from 'lru-cache';
import type { Limit, LimitState } from '../../domain/limit.ts';
import { addressPart } from '../keys.ts';
import type { Permit } from './permit.ts';
import type { Caller } from '../decision/subjects.ts';

/** Requests of one subject in flight under one limit. */
interface InFlight {
  count: number;
}

/** What `take` took: to be given back once, or nothing where a full limit refuses. */
export interface Taken {
  readonly counted: readonly InFlight[];
  /** The limits that are full, shadow ones included. */
  readonly full: readonly Limit[];
}

/** Requests in flight on this node, by tenant and by address, under limits that each node counts alone (`perNode`). */
export interface NodePermits {
  /** Takes a permit of every limit, or of none. */
  take(limits: readonly Limit[], caller: Caller): Taken;
  close(): void;
}

const sweepIntervalMs = 1_000;
const addressesMax = 10_000;
const none: readonly never[] = [];

/** A node grants its part of each limit, so that all nodes together grant about the limit, whoever balances the load. */
export function createNodePermits(nodes: () => number): NodePermits {
  /** By limit, then by subject. */
  const counts = new Map<string, Map<string, InFlight>>();
  const networks = new LRUCache<string, string>({ max: addressesMax });
  let parts = Math.max(1, nodes());
  const timer = setInterval(sweep, sweepIntervalMs);
  timer.unref();
  return { take, close: () => clearInterval(timer) };

  function take(limits: readonly Limit[], caller: Caller): Taken {
    const counted: InFlight[] = [];
    let full: readonly Limit[] = none;
    let refuses = false;
    for (const limit of limits) {
      const subject = subjectOf(limit, caller);
      if (subject === null) continue;
      const inFlight = inFlightOf(limit, subject);
      counted.push(inFlight);
      if (inFlight.count < partOf(limit)) continue;
      full = [...full, limit];
      refuses ||= limit.mode === 'enforce';
    }
    if (refuses) return { counted: none, full };
    for (const inFlight of counted) inFlight.count += 1;
    return { counted, full };
  }

  /** Keeps the entry of a subject for its next request: only those of nobody in flight are dropped, now and then. */
  function inFlightOf({ name }: Limit, subject: string): InFlight {
    let ofLimit = counts.get(name);
    if (ofLimit === undefined) counts.set(name, (ofLimit = new Map<string, InFlight>()));
    let inFlight = ofLimit.get(subject);
    if (inFlight === undefined) ofLimit.set(subject, (inFlight = { count: 0 }));
    return inFlight;
  }

  function partOf({ limit }: Limit): number {
    return limit === 0 ? 0 : Math.max(1, Math.floor(limit / parts));
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

  function sweep(): void {
    parts = Math.max(1, nodes());
    for (const ofLimit of counts.values()) {
      for (const [subject, { count }] of ofLimit) if (count === 0) ofLimit.delete(subject);
    }
  }
}

/** The permit of a request that also counts under its tenant's and its address's share. */
export class SharePermit implements Permit {
  readonly #inner: Permit;
  readonly #counted: readonly InFlight[];
  readonly #full: readonly LimitState[];
  #held = true;

  /** `full`: the limits that are full, which are in shadow. Releases the share where there was no other permit. */
  constructor(inner: Permit, counted: readonly InFlight[], full: readonly LimitState[]) {
    this.#inner = inner;
    this.#counted = counted;
    this.#full = full;
    if (!inner.granted) this.release();
  }

  get granted(): boolean {
    return this.#inner.granted;
  }

  get states(): readonly LimitState[] {
    return this.#inner.states;
  }

  get full(): readonly LimitState[] {
    return this.#full.length === 0 ? this.#inner.full : [...this.#full, ...this.#inner.full];
  }

  get degraded(): boolean {
    return this.#inner.degraded;
  }

  release(): void {
    if (this.#held) for (const inFlight of this.#counted) inFlight.count -= 1;
    this.#held = false;
    this.#inner.release();
  }
}
