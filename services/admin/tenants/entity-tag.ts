import { createHash } from 'node:crypto';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { rejection } from '../../../shared/tenants/outcome.ts';

export const changedMeanwhile = rejection(
  412,
  'Changed meanwhile',
  'This record was changed since you read it; read it again.',
);

/** Entity tag of a record. A missing record also has a tag. */
export function entityTag(record: TenantRecord | null): string {
  return `"${createHash('sha256').update(JSON.stringify(record)).digest('hex').slice(0, 16)}"`;
}

/**
 * Evaluates If-Match (RFC 9110, 13.1.1): `*` matches every existing record; a list matches if it contains the tag of
 * the record.
 */
export function ifMatchHolds(header: string | undefined, record: TenantRecord | null): boolean {
  if (header === undefined) return true;
  const named = header.split(',').map((tag) => tag.trim());
  return named.includes('*') ? record !== null : named.includes(entityTag(record));
}
