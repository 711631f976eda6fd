import { readInstant } from './time/instant.ts';

/** Temporary increase of one limit, in force from `starts_at` until `ends_at`. */
export interface Boost {
  readonly id: string;
  /** Name of the raised limit, e.g. `minute`. */
  readonly limit: string;
  /** Factor by which the limit is multiplied. A boost has either `multiply` or `set_to`. */
  readonly multiply?: number;
  readonly set_to?: number;
  readonly starts_at: string;
  readonly ends_at: string;
  /** The tenant reads it. */
  readonly reason: string;
  /** The operator who added the boost. */
  readonly actor: string;
}

export type LimitRequestState = 'open' | 'approved' | 'declined' | 'withdrawn';

/**
 * A request of the tenant for a higher value of one limit, with the answer of an operator. Values are in the own unit of
 * what the limit counts.
 */
export interface LimitRequest {
  readonly id: string;
  readonly limit: string;
  /** Value of the limit at the time of the request; absent: the plan of the tenant was unknown. */
  readonly current?: number;
  readonly wanted: number;
  /** Seconds from the approval on for which the higher value is requested; absent: without an end. */
  readonly for_seconds?: number;
  readonly reason: string;
  readonly created_at: string;
  readonly state: LimitRequestState;
  /** Time of the approval, decline or withdrawal. */
  readonly closed_at?: string;
  readonly closed_by?: string;
  /** Answer of the operator, which the tenant reads. */
  readonly answer?: string;
  /** Value that an operator granted. It can differ from `wanted`. */
  readonly granted?: number;
  /** End of what was granted; absent in an approved request: granted without an end, as an override. */
  readonly ends_at?: string;
  /** Id of the boost by which a request with an end was granted. */
  readonly boost_id?: string;
}

/** When a tenant is notified of one limit. */
export interface LimitNotifications {
  /** Shares of the quota at which alerts are sent; empty: none. */
  readonly thresholds?: readonly number[];
  /** Number of requests that the limit refuses within a minute from which an alert is sent. */
  readonly refusals?: number;
}

export interface NotificationSettings {
  /** Shares of a quota at which alerts are sent, e.g. `[0.8, 1]`; absent: the policy's thresholds. */
  readonly thresholds?: readonly number[];
  /** Settings of single limits, by name; they replace `thresholds` and the usual alert about refused requests. */
  readonly limits?: Readonly<Record<string, LimitNotifications>>;
  readonly webhooks?: readonly { readonly url: string; readonly secrets: readonly string[] }[];
  readonly slack?: readonly string[];
  readonly emails?: readonly string[];
}

/**
 * What an API key can be allowed to do. `requests`: call the API, check requests, reserve and hold sessions. `usage`:
 * read usage, limits and decisions, and open the portal. `events`: publish usage events. `manage`: change settings and
 * keys in the portal.
 */
export const keyPermissions = ['requests', 'usage', 'events', 'manage'] as const;

export type KeyPermission = (typeof keyPermissions)[number];

/** What an API key may do. Names that this version does not have grant nothing. */
export interface KeyScope {
  readonly permissions: readonly string[];
  /** Patterns such as `GET /v1/**`, as in the policy: the only requests of the permission `requests`; absent: all. */
  readonly routes?: readonly string[];
}

/** An API key, of which only the hash is stored. Times are ISO 8601. */
export interface ApiKey {
  /** Lower-case hex SHA-256 of the key. */
  readonly sha256: string;
  /** Purpose of the key, entered by the operator or the tenant that created it. */
  readonly name?: string;
  readonly created_at?: string;
  /** Time from which requests with the key are refused; absent: the key never expires. */
  readonly expires_at?: string;
  /** Absent: the key may do everything. */
  readonly scope?: KeyScope;
  /** SHA-256 of the key that replaced this one; absent: the key was not rolled. */
  readonly rolled_to?: string;
}

/** The value of one field before and after a change; null: the record did not have the field. */
interface ValueChange<Field extends string, Value> {
  readonly field: Field;
  readonly from: Value | null;
  readonly to: Value | null;
}

/** A change of one element of a list or map. */
interface ElementChange<Field extends string, Value> extends ValueChange<Field, Value> {
  /** Id of the element, or its name in a map. */
  readonly key: string;
}

/** A change of one field of a record, as a value that has an inverse: the same change with `from` and `to` swapped. */
export type FieldChange =
  | ValueChange<'plan' | 'display_name' | 'group' | 'time_zone', string>
  | ValueChange<'billing_day', number>
  | ValueChange<'block', NonNullable<TenantRecord['block']>>
  | ValueChange<'internal_note', InternalNote>
  | ElementChange<'overrides', number>
  | ElementChange<'boosts', Boost>
  | ElementChange<'limit_requests', LimitRequest>;

/** A text about the tenant for operators. The tenant never reads it. */
export interface InternalNote {
  readonly text: string;
  readonly actor: string;
  readonly at: string;
}

/** A change of the record by an operator or by the tenant. Only operators read it. */
export interface RecordChange {
  readonly at: string;
  readonly actor: string;
  /** Action of the admin API: `boost`, `block`, `reset`, `notifications`, … */
  readonly action: string;
  /** A sentence with the old value, the new value and the reason of the change. */
  readonly detail: string;
  /** What the operator noted for other operators. */
  readonly internal_note?: string;
  /** The changed fields; absent: the change cannot be undone. */
  readonly changes?: readonly FieldChange[];
  /** Id of the change that this one undid. */
  readonly undo_of?: string;
}

/** Maximum number of changes that a record keeps; older changes are only in the log. */
export const historyEntriesMax = 50;

/**
 * A tenant's record: value of the topic `tollgate.tenants.v1`, keyed by tenant_id. A null value (tombstone) deletes
 * the record. A tenant without a record gets the plan that its token claims, otherwise `default_plan`. Times are ISO
 * 8601 in UTC.
 */
export interface TenantRecord {
  readonly tenant_id: string;
  readonly plan?: string;
  readonly display_name?: string;
  /**
   * New values of limits, by name: `{ "minute": 500 }`. An override applies to the limits of that name in all plans
   * and routes.
   */
  readonly overrides?: Readonly<Record<string, number>>;
  readonly boosts?: readonly Boost[];
  /** Requests for higher limits, newest first. */
  readonly limit_requests?: readonly LimitRequest[];
  /** The tenant reads the reason. */
  readonly block?: { readonly until: string | null; readonly reason: string; readonly actor: string };
  /** Hashes of API keys that have no name, creation time or expiry: SHA-256 in lower-case hex. */
  readonly api_keys_sha256?: readonly string[];
  /** API keys with a name, a creation time or an expiry. If a key is in both lists, this entry applies. */
  readonly api_keys?: readonly ApiKey[];
  readonly notifications?: NotificationSettings;
  /** Group of tenants, such as an organisation, to which the tenant belongs. The limits of the group count all of its tenants. */
  readonly group?: string;
  /** IANA zone of the tenant's calendar quotas; absent: UTC. */
  readonly time_zone?: string;
  /** Day on which the tenant's monthly quotas begin, 1 to 31; absent: the first, unless a limit names another day. */
  readonly billing_day?: number;
  readonly internal_note?: InternalNote;
  /** The last reset of the tenant's counters, and the units that each period had counted before it. */
  readonly reset?: {
    readonly at_ms: number;
    readonly actor: string;
    readonly day_units: number;
    readonly month_units: number;
  };
  /** Changes of the record, newest first; at most `historyEntriesMax`. */
  readonly history?: readonly RecordChange[];
  /**
   * Version of the record: among several records of a tenant, readers use the one with the highest version. The
   * writer sets it to the previous version plus one, or to the time of the change in Unix milliseconds if that is
   * higher. Records that older releases wrote have no version; their `updated_at` is used instead.
   */
  readonly version?: number;
  readonly updated_at: string;
  readonly updated_by: string;
}

/**
 * The tenant that an API key belongs to, and the Unix milliseconds from which the key is refused (Infinity: never).
 */
export interface KeyHolder {
  readonly record: TenantRecord;
  readonly key: ApiKey;
  readonly expiresAtMs: number;
}

/**
 * Name of an API key in events, pages and commands: the first 12 hexadecimal digits of its SHA-256. A holder of the name
 * cannot sign in with it.
 */
export function apiKeyId(sha256: string): string {
  return sha256.slice(0, apiKeyIdLength);
}

export const apiKeyIdLength = 12;

/** Whether a key of this scope has the permission. Null or undefined: the scope of a key that may do everything. */
export function isPermitted(scope: KeyScope | null | undefined, permission: KeyPermission): boolean {
  return scope?.permissions.includes(permission) ?? true;
}

/** The scope in words: `requests (GET /v1/**), usage`. */
export function scopeText(scope: KeyScope | null | undefined): string {
  if (scope === null || scope === undefined) return 'everything';
  const { permissions, routes } = scope;
  return permissions
    .map((name) => (name === 'requests' && routes !== undefined ? `${name} (${routes.join(', ')})` : name))
    .join(', ');
}

/** All API keys of a tenant, including expired keys, without duplicates. */
export function apiKeysOf({ api_keys: keys = [], api_keys_sha256: hashes = [] }: TenantRecord): ApiKey[] {
  const described = new Map(keys.map((key) => [key.sha256, key]));
  for (const sha256 of hashes) if (!described.has(sha256)) described.set(sha256, { sha256 });
  return [...described.values()];
}

/** Unix milliseconds from which a key is refused; Infinity: never. An invalid `expires_at` counts as expired. */
export function keyEndMs({ expires_at: end }: ApiKey): number {
  return end === undefined ? Infinity : (readInstant(end) ?? 0);
}
