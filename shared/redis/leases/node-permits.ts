import { LRUCache } from 'lru-cache';
import type { Limit } from '../../domain/limit.ts';
import type { Caller } from '../decision/subjects.ts';
import { nodeShare } from '../fallback/node-share.ts';
import { addressPart } from '../keys.ts';

/** Number of requests in flight of one subject (tenant or address) under one limit. */
export interface InFlight {
  count: number;
}

/** Result of a request's acquisition under the limits that this node counts. */
export interface NodePermit {
  /**
   * The counters that include this request. The caller lowers each once when the request ends. Empty when a full limit refused
   * the request.
   */
  readonly counted: readonly InFlight[];
  /** The limits without room, including limits in shadow mode. */
  readonly full: readonly Limit[];
}

/** Counts requests in flight on this node by tenant and by address, for limits that each node counts alone (`perNode`). */
export interface NodePermits {
  /** Acquires a permit of every limit, or of none. */
  acquire(limits: readonly Limit[], caller: Caller): NodePermit;
  close(): void;
}

const sweepIntervalMs = 1_000;
const addressesMax = 10_000;
const none: readonly never[] = [];

/** A node grants its share of each limit, so that all nodes together grant about the limit. */
export function createNodePermits(nodes: () => number): NodePermits {
  /** Counters by the limit's name, then by subject. */
  const counts = new Map<string, Map<string, InFlight>>();
  const networks = new LRUCache<string, string>({ max: addressesMax });
  let nodeCount = nodes();
  const timer = setInterval(sweep, sweepIntervalMs);
  timer.unref();
  return { acquire, close: () => clearInterval(timer) };

  function acquire(limits: readonly Limit[], caller: Caller): NodePermit {
    const counted: InFlight[] = [];
    let full: readonly Limit[] = none;
    let refuses = false;
    for (const limit of limits) {
      const subject = subjectOf(limit, caller);
      if (subject === null) continue;
      const inFlight = inFlightOf(limit, subject);
      counted.push(inFlight);
      if (inFlight.count < nodeShare(limit.limit, nodeCount)) continue;
      full = [...full, limit];
      refuses ||= limit.mode === 'enforce';
    }
    if (refuses) return { counted: none, full };
    for (const inFlight of counted) inFlight.count += 1;
    return { counted, full };
  }

  /** Returns the counter of a subject. A counter stays for the subject's next request; `sweep` deletes counters at zero later. */
  function inFlightOf({ name }: Limit, subject: string): InFlight {
    let ofLimit = counts.get(name);
    if (ofLimit === undefined) counts.set(name, (ofLimit = new Map<string, InFlight>()));
    let inFlight = ofLimit.get(subject);
    if (inFlight === undefined) ofLimit.set(subject, (inFlight = { count: 0 }));
    return inFlight;
  }

  /**
   * Returns the subject that a limit counts: the tenant or the address. Returns null for a limit per tenant if the caller has no
   * tenant: only the limits per address then apply.
   */
  function subjectOf({ per }: Limit, { tenantId, ip }: Caller): string | null {
    if (per[0] === 'tenant') return tenantId;
    // An IPv4 address, the common case, is used unchanged; an IPv6 address is reduced to its /64.
    return ip.includes(':') ? networkOf(ip) : ip;
  }

  function networkOf(ip: string): string {
    let network = networks.get(ip);
    if (network === undefined) networks.set(ip, (network = addressPart(ip)));
    return network;
  }

  function sweep(): void {
    nodeCount = nodes();
    for (const ofLimit of counts.values()) {
      for (const [subject, { count }] of ofLimit) if (count === 0) ofLimit.delete(subject);
    }
  }
}
