import { readInstant } from './time/instant.ts';

/** A temporary increase of one limit. Ends by itself at `ends_at`. */
export interface Boost {
  readonly id: string;
  /** Name of the limit, e.g. `minute`. */
  readonly limit: string;
  /** Either factor or absolute value; exactly one is set. */
  readonly multiply?: number;
  readonly set_to?: number;
  readonly starts_at: string;
  readonly ends_at: string;
  readonly reason: string;
  /** Who granted it. */
  readonly actor: string;
}

export interface NotificationSettings {
  /** Shares of a limit, e.g. `[0.8, 1]`; absent: the policy's thresholds. */
  readonly thresholds?: readonly number[];
  readonly webhooks?: readonly { readonly url: string; readonly secrets: readonly string[] }[];
  readonly slack?: readonly string[];
  readonly emails?: readonly string[];
}

/** An API key, known by its hash alone. Times are ISO 8601. */
export interface ApiKey {
  /** Lower-case hex SHA-256 of the key. */
  readonly sha256: string;
  /** What it is for, in an operator's words. */
  readonly name?: string;
  readonly created_at?: string;
  /** From then on it is refused; absent: never. */
  readonly expires_at?: string;
}

/** One change of a record, by an operator or by the tenant itself. */
export interface RecordChange {
  readonly at: string;
  readonly actor: string;
  /** A verb of the console: `boost`, `block`, `reset`, `notifications`, … */
  readonly action: string;
  /** A sentence: what it was, what it became, why. */
  readonly detail: string;
}

/** Changes kept in a record; older ones are in the log. */
export const historyEntriesMax = 50;

/**
 * Value of `tollgate.tenants.v1`, keyed by tenant_id; a null value deletes the record. Tenants without a record are
 * served by the plan their token claims, else by `default_plan` (they are created on first use).
 * Times are ISO 8601 in UTC.
 */
export interface TenantRecord {
  readonly tenant_id: string;
  readonly plan?: string;
  readonly display_name?: string;
  /** Limit name to value: `{ "minute": 500 }`. Overrides the plan's and the routes' limits of that name. */
  readonly overrides?: Readonly<Record<string, number>>;
  readonly boosts?: readonly Boost[];
  readonly block?: { readonly until: string | null; readonly reason: string; readonly actor: string };
  /** Lower-case hex SHA-256 of API keys that have no more to say of them; the keys themselves are never stored. */
  readonly api_keys_sha256?: readonly string[];
  /** The other API keys. A key that is in both lists is what this one says of it. */
  readonly api_keys?: readonly ApiKey[];
  readonly notifications?: NotificationSettings;
  /** IANA zone of calendar quotas; absent: UTC. */
  readonly time_zone?: string;
  /** Unix milliseconds of the last reset of this tenant's counters, with what each period had counted by then. */
  readonly reset?: {
    readonly at_ms: number;
    readonly actor: string;
    readonly day_units: number;
    readonly month_units: number;
  };
  /** Newest first, at most `historyEntriesMax`. */
  readonly history?: readonly RecordChange[];
  /**
   * Of a tenant's records the one with the highest version stands. Given by the writer: one more than the version before,
   * or the Unix milliseconds of the change where that is more. Records of older releases have none: `updated_at` counts.
   */
  readonly version?: number;
  readonly updated_at: string;
  readonly updated_by: string;
}

/** Whose API key it is, and from when on it is refused: Unix milliseconds, Infinity for never. */
export interface KeyHolder {
  readonly record: TenantRecord;
  readonly expiresAtMs: number;
}

/** All API keys of a tenant, expired ones included, each once. */
export function apiKeysOf({ api_keys: keys = [], api_keys_sha256: hashes = [] }: TenantRecord): ApiKey[] {
  const described = new Map(keys.map((key) => [key.sha256, key]));
  for (const sha256 of hashes) if (!described.has(sha256)) described.set(sha256, { sha256 });
  return [...described.values()];
}

/** From when on a key is refused: Unix milliseconds, Infinity for never. An end that cannot be read is past. */
export function keyEndMs({ expires_at: end }: ApiKey): number {
  return end === undefined ? Infinity : (readInstant(end) ?? 0);
}
