import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { addressPart, idPart, tags } from '../keys.ts';
import type { SubjectKind } from './windows.ts';

/** Whom windows belong to: one hash in Redis, and what this node last heard of it. */
export interface Subject {
  readonly key: string;
  /** The hash tag: subjects of one tag share a slot. */
  readonly tag: string;
  /** The hash that holds its epoch: the tenant's (a tenant's own is itself). Null for what belongs to no tenant. */
  owner: Subject | null;
  /** Units used and the moment all of them are gone, by window; seeds the local limiter when Redis is lost. */
  readonly seen: Map<string, Seen>;
  /** Where it stands among the keys of the batch being written; scratch of the encoder. */
  batch: object | null;
  index: number;
}

export interface Seen {
  used: number;
  resetAtMs: number;
}

export interface Caller {
  readonly tenantId: string | null;
  readonly userId: string | null;
  readonly ip: string;
}

export interface Subjects {
  of(kind: SubjectKind, caller: Caller): Subject;
  tenant(tenantId: string): Subject;
  size(): number;
}

/** Of tenants, and of all others together. */
const subjectsMax = 50_000;
/** Shorter than the text of a SHA-512, so that a name and the hash of a longer one are never the same. */
const nameLengthMax = 127;

/** Remembers the keys of recent callers, so that an id is checked or hashed once and not per request. Bounded. */
export function createSubjects(keyPrefix: string): Subjects {
  const tenants = new LRUCache<string, Subject>({ max: subjectsMax });
  const others = new LRUCache<string, Subject>({ max: subjectsMax });
  return { of, tenant, size: () => tenants.size + others.size };

  /** Found by the id itself, the same string with every request of a tenant: nothing is put together or hashed. */
  function tenant(tenantId: string): Subject {
    return remember(tenants, tenantId, () => {
      const subject = make(tags.tenant(tenantId), '', null);
      subject.owner = subject;
      return subject;
    });
  }

  function of(kind: SubjectKind, caller: Caller): Subject {
    const { tenantId, userId, ip } = caller;
    switch (kind) {
      case 'global':
        return remember(others, 'g', () => make(tags.global, '', null));
      case 'address':
        return remember(others, `a${ip}`, () => make(tags.address(ip), '', null));
      case 'tenant':
        return tenantId === null ? of('address', caller) : tenant(tenantId);
      case 'user':
        return ofTenant(tenantId, `u\n${userId ?? ''}`, () => userSuffix(userId), userId);
      case 'tenantAddress':
        return ofTenant(tenantId, `a\n${ip}`, () => `:a:${addressPart(ip)}`, userId);
      case 'userAddress':
        return ofTenant(
          tenantId,
          `b\n${userId ?? ''}\n${ip}`,
          () => `${userSuffix(userId)}:a:${addressPart(ip)}`,
          userId,
        );
    }
  }

  function ofTenant(
    tenantId: string | null,
    name: string,
    suffix: () => string,
    userId: string | null,
  ): Subject {
    if (tenantId === null) {
      return remember(others, `x${name}`, () => make(tags.user(userId ?? ''), suffix(), null));
    }
    const build = (): Subject => make(tags.tenant(tenantId), suffix(), tenant(tenantId));
    return remember(others, `s${tenantId}\n${name}`, build);
  }

  function remember(byName: LRUCache<string, Subject>, name: string, build: () => Subject): Subject {
    // Names are kept as keys of these maps: a giant id is kept by its hash, which no other name can be.
    const short = name.length <= nameLengthMax ? name : hash('sha512', name, 'hex');
    const known = byName.get(short);
    if (known !== undefined) return known;
    const subject = build();
    byName.set(short, subject);
    return subject;
  }

  function make(tag: string, suffix: string, owner: Subject | null): Subject {
    return { key: `${keyPrefix}:${tag}${suffix}`, tag, owner, seen: new Map(), batch: null, index: 0 };
  }
}

function userSuffix(userId: string | null): string {
  return `:u:${idPart(userId ?? '')}`;
}
