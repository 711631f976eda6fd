import { estimateDefaults } from '../../../../shared/domain/usage/format.ts';
import type { EstimateOptions, UsageFormat } from '../../../../shared/domain/usage/format.ts';
import { prepareCall } from '../../../../services/gateway/usage/prepare-call.ts';
import type { PreparedCall } from '../../../../services/gateway/usage/prepared-call.ts';

export function prepare(
  format: UsageFormat,
  body: object | string | Buffer,
  options: Partial<EstimateOptions> = {},
  coding = '',
): ReturnType<typeof prepareCall> {
  const bytes = Buffer.isBuffer(body)
    ? body
    : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return prepareCall(format, { bytes, coding, bytesMax: 1_000_000 }, { ...estimateDefaults, ...options });
}

export async function prepared(...args: Parameters<typeof prepare>): Promise<PreparedCall> {
  const preparation = await prepare(...args);
  if ('violation' in preparation) throw new Error(preparation.violation.message);
  return preparation.call;
}
