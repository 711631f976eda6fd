import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { LimitOverride } from '../../enforcer/limit-override.ts';
import { problemOfId, problemOfTenantId } from '../../../../shared/domain/identity.ts';
import { addUsage, joinUnits, problemOfUsage } from './described-usage.ts';
import type { DescribedUsage } from './described-usage.ts';
import { addToGroups } from './descriptor-groups.ts';
import type { Group, Terms, Values } from './descriptor-groups.ts';
import type { Descriptor, RateLimitRequest } from './messages.ts';
import { isMethod } from '../../../../shared/domain/request/request-method.ts';

/** One request that the enforcer has to decide about, and the descriptors that describe it. */
export interface DescribedRequest {
  readonly tenantId: string | null;
  readonly userId: string | null;
  /** The client's address; empty if the descriptors name none. */
  readonly ip: string;
  readonly method: string;
  readonly path: string;
  readonly plan: string | null;
  /** Units to charge. Null: the cost of the route. 0: nothing, the limits are only read. */
  readonly hits: number | null;
  /** True if Envoy sent `is_negative_hits`: the units are returned to the limits. */
  readonly returns: boolean;
  readonly override: LimitOverride | null;
  /** What the descriptors with a quantity state; null if no descriptor has one. */
  readonly usage: DescribedUsage | null;
  /** Indexes of the call's descriptors that describe the request. */
  readonly descriptors: readonly number[];
}

const descriptorsMax = 64;
/** Keys of descriptors that Tollgate evaluates. Others, for example `generic_key`, are ignored. */
const meaningfulKeys = [
  ...['tenant_id', 'user', 'remote_address', 'method', 'path', 'plan'],
  ...['quantity', 'model', 'request_id'],
];
const aliases: Readonly<Record<string, string>> = { tenant: 'tenant_id' };

const unitMs: ReadonlyMap<string, number> = new Map([
  ['SECOND', 1_000],
  ['MINUTE', 60_000],
  ['HOUR', 3_600_000],
  ['DAY', 86_400_000],
  ['WEEK', 7 * 86_400_000],
  ['MONTH', 30 * 86_400_000],
  ['YEAR', 365 * 86_400_000],
]);

/**
 * Returns the requests that a call describes, or a sentence that describes the call's violation. Two descriptors
 * describe the same request if they have no key with different values and if their hits, sign and limit are equal.
 * Otherwise they describe different requests, which are decided in the order of the descriptors. Descriptors with a
 * quantity describe the usage of one call, see `described-usage.ts`.
 */
export function describedRequests(request: RateLimitRequest): readonly DescribedRequest[] | string {
  const { descriptors } = request;
  if (descriptors.length === 0) return 'A call must have a descriptor';
  if (descriptors.length > descriptorsMax) return `A call may have ${descriptorsMax} descriptors`;
  const groups: Group[] = [];
  for (const [index, descriptor] of descriptors.entries()) {
    const values = valuesOf(descriptor);
    if (typeof values === 'string') return values;
    const terms = termsOf(descriptor, request.hits_addend);
    if (typeof terms === 'string') return terms;
    const problem = values.has('quantity') ? addUsage(groups, index, values, terms) : null;
    if (problem !== null) return problem;
    if (!values.has('quantity')) addToGroups(groups, index, values, terms);
  }
  const requests: DescribedRequest[] = [];
  for (const group of joinUnits(groups)) {
    const problem = problemOfCaller(group.values) ?? problemOfMethod(group.values) ?? problemOfUsage(group);
    if (problem !== null) return problem;
    requests.push(requestOf(group));
  }
  return requests;
}

function valuesOf({ entries }: Descriptor): Values | string {
  const values = new Map<string, string>();
  for (const entry of entries) {
    const key = aliases[entry.key] ?? entry.key;
    if (entry.value === '' || !meaningfulKeys.includes(key)) continue;
    const other = values.get(key);
    if (other !== undefined && other !== entry.value) return `A descriptor has two values for ${key}`;
    values.set(key, entry.value);
  }
  return values;
}

function termsOf(descriptor: Descriptor, hitsOfCall: number): Terms | string {
  const { limit, hits_addend, is_negative_hits: returns } = descriptor;
  const hits = hits_addend?.value ?? (hitsOfCall === 0 ? null : hitsOfCall);
  if (limit === null) return { hits, returns, limit: null, windowMs: 0 };
  const oneUnitMs = unitMs.get(limit.unit);
  if (oneUnitMs === undefined) return `The limit of a descriptor has no unit of time: ${limit.unit}`;
  const multiplier = Math.max(1, limit.unit_multiplier?.value ?? 1);
  const windowMs = oneUnitMs * multiplier;
  if (windowMs > (unitMs.get('YEAR') ?? 0)) return 'The limit of a descriptor spans more than a year';
  return { hits, returns, limit: limit.requests_per_unit, windowMs };
}

function problemOfCaller(values: Values): string | null {
  const address = values.get('remote_address');
  const tenantId = values.get('tenant_id');
  const userId = values.get('user');
  if (tenantId === undefined && userId === undefined && address === undefined) {
    return 'A descriptor must name the caller of the request: tenant_id, user or remote_address';
  }
  if (address !== undefined && isIP(address) === 0) return 'remote_address is not an address';
  const wrongTenant = tenantId === undefined ? null : problemOfTenantId(tenantId);
  if (wrongTenant !== null) return `tenant_id ${wrongTenant}`;
  const wrongUser = userId === undefined ? null : problemOfId(userId);
  return wrongUser === null ? null : `user ${wrongUser}`;
}

/**
 * Returns a violation if the other entrypoints would also refuse the method; else null. Upper and lower case are equal.
 */
function problemOfMethod(values: Values): string | null {
  const method = values.get('method');
  return method === undefined || isMethod(method.toUpperCase()) ? null : 'method is not a method of HTTP';
}

function requestOf({ values, terms, indexes, usage }: Group): DescribedRequest {
  const { hits, returns, limit, windowMs } = terms;
  const address = values.get('remote_address');
  const tenantId = values.get('tenant_id') ?? null;
  const userId = values.get('user') ?? null;
  const per = userId !== null ? 'user' : tenantId !== null ? 'tenant' : 'ip';
  return {
    tenantId,
    userId,
    ip: address === undefined ? '' : ipaddr.process(address).toString(),
    method: (values.get('method') ?? 'GET').toUpperCase(),
    path: values.get('path') ?? '/',
    plan: values.get('plan') ?? null,
    hits,
    returns,
    override: limit === null ? null : { per, limit, windowMs },
    usage:
      usage === null
        ? null
        : { ...usage, model: values.get('model') ?? null, requestId: values.get('request_id') ?? null },
    descriptors: indexes,
  };
}
