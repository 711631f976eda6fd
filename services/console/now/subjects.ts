import type { RecentCaller } from '../../../shared/clickhouse/queries/portal/recent-callers.ts';
import { attributeNames } from '../../../shared/domain/limit.ts';
import type { Attributes, Limit } from '../../../shared/domain/limit.ts';
import { apiKeyId, apiKeysOf } from '../../../shared/domain/tenant.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';

/** A user, address or API key that a limit counts apart. */
export interface LimitSubject {
  readonly key: string;
  /** Null for a limit that has one counter for the tenant. */
  readonly name: string | null;
  readonly userId: string | null;
  readonly ip: string;
  readonly attributes?: Attributes;
  /** Requests in the recent past, refused ones included; null: unknown. */
  readonly requests: number | null;
}

/** Address in checks of limits that count no address. */
const anyAddress = '127.0.0.1';
const subjectsMax = 5;

export const wholeAccount: LimitSubject = {
  key: '',
  name: null,
  userId: null,
  ip: anyAddress,
  requests: null,
};

/**
 * The subjects of a limit with the most recent requests. Null if the events do not contain what the limit counts (a
 * header or a claim), so that its subjects are unknown.
 */
export function heaviestSubjects(
  limit: Limit,
  callers: readonly RecentCaller[],
  record: TenantRecord | null,
): readonly LimitSubject[] | null {
  if (limit.per.includes('group')) return [wholeAccount];
  const names = attributeNames(limit);
  if (names.length === 1 && names[0] === 'key' && limit.per.length <= 2 && !limit.per.includes('user'))
    return keysOf(record);
  if (names.some((name) => name !== 'model')) return null;
  const found = new Map<string, LimitSubject & { requests: number }>();
  for (const caller of callers) {
    if (limit.route !== null && caller.route !== limit.route) continue;
    const subject = subjectOf(limit, caller, names.length > 0);
    const known = found.get(subject.key);
    if (known === undefined) found.set(subject.key, { ...subject, requests: caller.requests });
    else known.requests += caller.requests;
  }
  return [...found.values()].toSorted((a, b) => b.requests - a.requests).slice(0, subjectsMax);
}

function subjectOf({ per }: Limit, caller: RecentCaller, byModel: boolean): LimitSubject {
  const user = per.includes('user') && caller.user_id !== '' ? caller.user_id : null;
  // A limit per user counts the address of requests without a user.
  const address = per.includes('ip') || (per.includes('user') && user === null) ? caller.client_ip : null;
  const parts = [user, address, byModel ? caller.model || 'no model' : null].filter((part) => part !== null);
  return {
    key: JSON.stringify(parts),
    name: parts.join(', '),
    userId: user,
    ip: address ?? anyAddress,
    ...(byModel ? { attributes: { model: caller.model } } : {}),
    requests: 0,
  };
}

function keysOf(record: TenantRecord | null): readonly LimitSubject[] {
  const keys = record === null ? [] : apiKeysOf(record);
  return keys.slice(0, subjectsMax).map(({ sha256, name }) => ({
    ...wholeAccount,
    key: sha256,
    name: name ?? `${apiKeyId(sha256)}…`,
    attributes: { key: sha256 },
  }));
}
