import { readInstant } from './time/instant.ts';

/** Temporary increase of one limit, in force from `starts_at` until `ends_at`. */
export interface Boost {
  readonly id: string;
  /** Name of the limit, e.g. `minute`. */
  readonly limit: string;
  /** Factor; exactly one of `multiply` and `set_to` is set. */
  readonly multiply?: number;
  readonly set_to?: number;
  readonly starts_at: string;
  readonly ends_at: string;
  readonly reason: string;
  /** Operator who granted the boost. */
  readonly actor: string;
}

export interface NotificationSettings {
  /** Shares of a limit, e.g. `[0.8, 1]`; absent: the policy's thresholds. */
  readonly thresholds?: readonly number[];
  readonly webhooks?: readonly { readonly url: string; readonly secrets: readonly string[] }[];
  readonly slack?: readonly string[];
  readonly emails?: readonly string[];
}

/** API key. Only its hash is stored. Times are ISO 8601. */
export interface ApiKey {
  /** Lower-case hex SHA-256 of the key. */
  readonly sha256: string;
  /** Purpose of the key, as an operator or the tenant named it. */
  readonly name?: string;
  readonly created_at?: string;
  /** The key is refused from this time on; absent: it never expires. */
  readonly expires_at?: string;
}

/** One change of a record by an operator or by the tenant. */
export interface RecordChange {
  readonly at: string;
  readonly actor: string;
  /** Action of the admin API: `boost`, `block`, `reset`, `notifications`, … */
  readonly action: string;
  /** Sentence with the old value, the new value and the reason. */
  readonly detail: string;
}

/** Changes that a record stores; older ones are in the log. */
export const historyEntriesMax = 50;

/**
 * Value of `tollgate.tenants.v1`, keyed by tenant_id; a null value (tombstone) deletes the record. Tenants without a record
 * get the plan that their token claims, else `default_plan`. Times are ISO 8601 in UTC.
 */
export interface TenantRecord {
  readonly tenant_id: string;
  readonly plan?: string;
  readonly display_name?: string;
  /** Values by limit name: `{ "minute": 500 }`. Override the limits of that name in plans and routes. */
  readonly overrides?: Readonly<Record<string, number>>;
  readonly boosts?: readonly Boost[];
  readonly block?: { readonly until: string | null; readonly reason: string; readonly actor: string };
  /** Lower-case hex SHA-256 of API keys without name, creation time or expiry. */
  readonly api_keys_sha256?: readonly string[];
  /** The other API keys. For a key in both lists this entry counts. */
  readonly api_keys?: readonly ApiKey[];
  readonly notifications?: NotificationSettings;
  /** IANA zone of calendar quotas; absent: UTC. */
  readonly time_zone?: string;
  /** Last reset of the tenant's counters, and the units that each period had counted by then. */
  readonly reset?: {
    readonly at_ms: number;
    readonly actor: string;
    readonly day_units: number;
    readonly month_units: number;
  };
  /** Newest first, at most `historyEntriesMax`. */
  readonly history?: readonly RecordChange[];
  /**
   * Of several records of a tenant the one with the highest version counts. The writer sets it to the previous version
   * plus one, or to the Unix milliseconds of the change if that is more. Records of older releases have no version: their
   * `updated_at` counts.
   */
  readonly version?: number;
  readonly updated_at: string;
  readonly updated_by: string;
}

/** Tenant of an API key, and the Unix milliseconds from which the key is refused; Infinity: never. */
export interface KeyHolder {
  readonly record: TenantRecord;
  readonly expiresAtMs: number;
}

/** All API keys of a tenant, expired keys included, each once. */
export function apiKeysOf({ api_keys: keys = [], api_keys_sha256: hashes = [] }: TenantRecord): ApiKey[] {
  const described = new Map(keys.map((key) => [key.sha256, key]));
  for (const sha256 of hashes) if (!described.has(sha256)) described.set(sha256, { sha256 });
  return [...described.values()];
}

/** Unix milliseconds from which a key is refused; Infinity: never. An expiry that is not a time counts as past. */
export function keyEndMs({ expires_at: end }: ApiKey): number {
  return end === undefined ? Infinity : (readInstant(end) ?? 0);
}
