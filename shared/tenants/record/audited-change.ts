import { hash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { apiKeyId } from '../../domain/tenant.ts';
import type { RecordChange, TenantRecord } from '../../domain/tenant.ts';
import type { AuditEntry } from '../../domain/topics/audit-entry.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Fields that every change sets. They say nothing about what was changed. */
export const ofEveryChange: ReadonlySet<string> = new Set(['history', 'version', 'updated_at', 'updated_by']);

/** The changed fields of a record with their values before and after. Secrets are replaced by a fingerprint. */
export interface ChangedFields {
  readonly before: Fields;
  readonly after: Fields;
}

/**
 * Compares two states of a record. Of a list, only the elements that were added or removed are returned; of an object,
 * only the members that changed.
 */
export function changedFields(before: TenantRecord | null, after: TenantRecord | null): ChangedFields {
  return difference(withoutSecrets(before), withoutSecrets(after));
}

function difference(before: Fields, after: Fields): ChangedFields {
  const [was, is]: [Record<string, unknown>, Record<string, unknown>] = [{}, {}];
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [old, current] = [before[name], after[name]];
    if (isDeepStrictEqual(old, current)) continue;
    if (isFields(old) && isFields(current)) {
      const inner = difference(old, current);
      [was[name], is[name]] = [inner.before, inner.after];
    } else if (Array.isArray(old) && Array.isArray(current)) {
      [was[name], is[name]] = [without(old, current), without(current, old)];
    } else {
      if (old !== undefined) was[name] = old;
      if (current !== undefined) is[name] = current;
    }
  }
  return { before: was, after: is };
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function without(list: readonly unknown[], other: readonly unknown[]): readonly unknown[] {
  return list.filter((one) => !other.some((another) => isDeepStrictEqual(one, another)));
}

/** The fields of the record without its secrets and without the fields that every change sets. */
function withoutSecrets(record: TenantRecord | null): Fields {
  if (record === null) return {};
  return Object.fromEntries(Object.entries(maskSecrets(record)).filter(([name]) => !ofEveryChange.has(name)));
}

/**
 * The record without its secrets: webhook secrets and Slack addresses, which are secrets themselves, become a fingerprint,
 * so that their change is visible; hashes of API keys become the digits by which lists show them.
 */
export function maskSecrets(record: TenantRecord): Fields {
  const { notifications, api_keys: keys, api_keys_sha256: hashes, ...plain } = record;
  const fields: Record<string, unknown> = { ...plain };
  if (keys !== undefined) fields['api_keys'] = keys.map((key) => ({ ...key, sha256: apiKeyId(key.sha256) }));
  if (hashes !== undefined) fields['api_keys_sha256'] = hashes.map(apiKeyId);
  if (notifications !== undefined)
    fields['notifications'] = {
      ...notifications,
      ...(notifications.webhooks === undefined
        ? {}
        : {
            webhooks: notifications.webhooks.map(({ url, secrets, ...others }) => ({
              ...others,
              url: withoutPath(url),
              secrets: secrets.map(fingerprint),
            })),
          }),
      ...(notifications.slack === undefined
        ? {}
        : { slack: notifications.slack.map((url) => withoutPath(url)) }),
    };
  return fields;
}

const digitsOfFingerprint = 8;

function fingerprint(secret: string): string {
  return `sha256:${hash('sha256', secret).slice(0, digitsOfFingerprint)}`;
}

/** Path and query of an address can contain a secret, so they become a fingerprint. */
function withoutPath(url: string): string {
  return `${URL.parse(url)?.origin ?? 'invalid'}/… ${fingerprint(url)}`;
}

/**
 * Id of the entry of a change. It follows from the entry of the record's history, so that the copies in the history and
 * in the audit trail are one entry.
 */
export function entryId(tenantId: string, { at, actor, action, detail }: RecordChange): string {
  return hash('sha256', JSON.stringify([tenantId, at, actor, action, detail])).slice(0, 32);
}

/** The part of a history entry that the audit trail has too. Values of changes are in `before` and `after` there. */
export function auditedPart({
  at,
  actor,
  action,
  detail,
  internal_note: note,
  undo_of: undone,
}: RecordChange): Pick<AuditEntry, 'at' | 'actor' | 'action' | 'detail' | 'facts'> {
  const facts = {
    ...(note === undefined ? {} : { internal_note: note }),
    ...(undone === undefined ? {} : { undo_of: undone }),
  };
  return { at, actor, action, detail, ...(Object.keys(facts).length === 0 ? {} : { facts }) };
}
