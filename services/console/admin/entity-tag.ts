import { createHash } from 'node:crypto';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';

/** Entity tag of a record, or of its absence. */
export function entityTag(record: TenantRecord | null): string {
  return `"${createHash('sha256').update(JSON.stringify(record)).digest('hex').slice(0, 16)}"`;
}

/** If-Match (RFC 9110, 13.1.1): `*` holds where there is a record, and a list where it names the record's tag. */
export function ifMatchHolds(header: string | undefined, record: TenantRecord | null): boolean {
  if (header === undefined) return true;
  const named = header.split(',').map((tag) => tag.trim());
  return named.includes('*') ? record !== null : named.includes(entityTag(record));
}
