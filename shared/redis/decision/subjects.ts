import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Attributes } from '../../domain/limit.ts';
import { addressPart, idPart, tags } from '../keys.ts';
import { createAttributeSubjects } from './attribute-subjects.ts';
import type { UnitLease } from '../unit-leases/unit-lease.ts';
import type { Shape, SubjectKind } from './windows.ts';

/** A tenant, user or address that windows belong to. It has one hash in Redis, and keeps the usage in Redis's last reply. */
export interface Subject {
  readonly key: string;
  /** Hash tag of the key: subjects with the same tag are in one slot. */
  readonly tag: string;
  /**
   * The subject whose hash holds the epoch: the subject's tenant; for a tenant, the subject itself. Null for a subject without a
   * tenant.
   */
  owner: Subject | null;
  /** Usage in Redis's last reply, by field of the window. The local limiter starts from it when Redis is unavailable. */
  readonly usageByField: Map<string, WindowUsage>;
  /** The entries of `usageByField` for the windows of `usageShape`, the shape of the latest check, by index of the window. */
  usages: WindowUsage[];
  usageShape: Shape | null;
  /** The leases of this node for the subject, by the shape of the checks that spend them; null while there was none. */
  leases: Map<Shape, UnitLease> | null;
  /** The last batch that contains this subject's key, and the index of the key in that batch. Used only by `encodeBatch`. */
  batch: object | null;
  index: number;
}

export interface WindowUsage {
  used: number;
  /** Unix milliseconds at which all used units have expired. */
  resetAtMs: number;
}

/** Returns the entry of a window. It is never replaced, so that it can be kept. */
export function usageOf({ usageByField }: Pick<Subject, 'usageByField'>, field: string): WindowUsage {
  let usage = usageByField.get(field);
  if (usage === undefined) usageByField.set(field, (usage = { used: 0, resetAtMs: 0 }));
  return usage;
}

export interface Caller {
  readonly tenantId: string | null;
  readonly userId: string | null;
  readonly ip: string;
  /** The group of the tenant; absent or null: the tenant is in none. */
  readonly groupId?: string | null;
  /** Values of the attributes that limits count. */
  readonly attributes?: Attributes | undefined;
}

export interface Subjects {
  of(kind: SubjectKind, caller: Caller): Subject;
  tenant(tenantId: string): Subject;
  size(): number;
}

/** Maximum number of cached tenants, and also the maximum number of cached subjects of all other kinds together. */
const subjectsMax = 50_000;
/**
 * Longest name that is not hashed: one character shorter than a SHA-512 in hexadecimal, so that no name equals the hash of a
 * longer name.
 */
const nameLengthMax = 127;

/** Caches the subjects of recent callers, so that an id is not validated or hashed again for each request. Bounded. */
export function createSubjects(keyPrefix: string): Subjects {
  const tenants = new LRUCache<string, Subject>({ max: subjectsMax });
  const others = new LRUCache<string, Subject>({ max: subjectsMax });
  const attributes = createAttributeSubjects();
  return { of, tenant, size: () => tenants.size + others.size };

  /** A short id itself is the key of the cache, so that no string is built or hashed for each request. */
  function tenant(tenantId: string): Subject {
    const existing = tenantId.length <= nameLengthMax ? tenants.get(tenantId) : undefined;
    return existing ?? createTenant(tenantId);
  }

  function createTenant(tenantId: string): Subject {
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
      case 'group':
        return groupOf(caller);
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
      default:
        return ofAttributes(kind, caller);
    }
  }

  /** The subject of the caller's group. A tenant without a group is a group of its own. */
  function groupOf(caller: Caller): Subject {
    const { groupId = null } = caller;
    if (groupId === null) return of('tenant', caller);
    return cached(others, `g${groupId}`, () => create(tags.group(groupId), '', null));
  }

  function ofAttributes(kind: SubjectKind, caller: Caller): Subject {
    const { base, names } = attributes.partsOf(kind);
    const owner = of(base, caller);
    const values = attributes.valuesOf((owner.owner ?? owner).key, names, caller.attributes);
    const build = (): Subject => {
      const key = owner.key + attributes.suffixOf(names, values);
      return {
        key,
        tag: owner.tag,
        owner: owner.owner,
        usageByField: new Map(),
        usages: [],
        usageShape: null,
        leases: null,
        batch: null,
        index: 0,
      };
    };
    return cached(others, `t${owner.key}\n${names.join('\n')}\n${JSON.stringify(values)}`, build);
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
    // The name is the key of the cache. A very long name is replaced by its hash, which is never equal to another name.
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
      usages: [],
      usageShape: null,
      leases: null,
      batch: null,
      index: 0,
    };
  }
}

function userSuffix(userId: string | null): string {
  return `:u:${idPart(userId ?? '')}`;
}
