import type { TenantRecord } from '../domain/tenant.ts';
import { textOfFaults } from '../runtime/schema-faults.ts';
import { faultsInRecord } from '../tenants/record-faults.ts';
import type { ConsumedMessage } from './message.ts';

/** A record of the tenants topic, or what is wrong with it. Its value must not be null. */
export function readTenantRecord({
  key,
  value,
}: Pick<ConsumedMessage, 'key' | 'value'>): { readonly record: TenantRecord } | { readonly faults: string } {
  let record: unknown;
  try {
    record = JSON.parse(value?.toString() ?? '');
  } catch {
    return { faults: 'it is not JSON' };
  }
  const faults = faultsInRecord(record);
  if (faults.length > 0) return { faults: textOfFaults(faults, 'record') };
  const { tenant_id: tenantId } = record as TenantRecord;
  return tenantId === key ? { record: record as TenantRecord } : { faults: `its key is not ${tenantId}` };
}
