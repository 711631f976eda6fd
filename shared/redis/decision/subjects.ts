import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { addressPart, idPart, tags } from '../keys.ts';
import type { SubjectKind } from './windows.ts';

/** The tenant, user or address that windows belong to: one hash in Redis, and the usage that Redis last replied for it. */
export interface Subject {
  readonly key: string;
  /** The hash tag: subjects of one tag share a slot. */
  readonly tag: string;
  /** The subject whose hash holds the epoch: the tenant (of a tenant, itself). Null without a tenant. */
  owner: Subject | null;
  /** The last usage from Redis by window field: the local limiter starts from it when Redis is unavailable. */
  readonly usageByField: Map<string, WindowUsage>;
  /** The batch that the encoder last wrote the key to, and the index of the key in it. Used by the encoder only. */
  batch: object | null;
  index: number;
}

export interface WindowUsage {
  used: number;
  /** When all of the used units have expired. */
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

/** For tenants, and again for all other subjects together. */
const subjectsMax = 50_000;
/** Shorter than the text of a SHA-512, so that a name never equals the hash of a longer name. */
const nameLengthMax = 127;

/** Caches the subjects of recent callers, so that an id is checked or hashed once and not per request. Bounded. */
export function createSubjects(keyPrefix: string): Subjects {
  const tenants = new LRUCache<string, Subject>({ max: subjectsMax });
  const others = new LRUCache<string, Subject>({ max: subjectsMax });
  return { of, tenant, size: () => tenants.size + others.size };

  /** Looked up by the id itself: no string is built or hashed per request. */
  function tenant(tenantId: string): Subject {
    return cached(tenants, tenantId, () => {
      const subject = create(tags.tenant(tenantId), '', null);
      subject.owner = subject;
      return subject;
    });
  }

  function of(kind: SubjectKind, caller: Caller): Subject {
    const { tenantId, userId, ip } = caller;
    switch (kind) {
      case 'global':
        return cached(others, 'g', () => create(tags.global, '', null));
      case 'address':
        return cached(others, `a${ip}`, () => create(tags.address(ip), '', null));
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
      return cached(others, `x${name}`, () => create(tags.user(userId ?? ''), suffix(), null));
    }
    const build = (): Subject => create(tags.tenant(tenantId), suffix(), tenant(tenantId));
    return cached(others, `s${tenantId}\n${name}`, build);
  }

  function cached(byName: LRUCache<string, Subject>, name: string, build: () => Subject): Subject {
    // Names are the keys of these maps: a very long id is replaced by its hash, which equals no other name.
    const short = name.length <= nameLengthMax ? name : hash('sha512', name, 'hex');
    const existing = byName.get(short);
    if (existing !== undefined) return existing;
    const subject = build();
    byName.set(short, subject);
    return subject;
  }

  function create(tag: string, suffix: string, owner: Subject | null): Subject {
    return {
      key: `${keyPrefix}:${tag}${suffix}`,
      tag,
      owner,
      usageByField: new Map(),
      batch: null,
      index: 0,
    };
  }
}

function userSuffix(userId: string | null): string {
  return `:u:${idPart(userId ?? '')}`;
}
