/** One kind of calls of every tenant: its share of the tenant's calls, and what totals and events state about it. */
interface Kind {
  readonly method: string;
  readonly path: string;
  readonly route: string;
  readonly decision: 'allowed' | 'limited' | 'shadow_limited';
  readonly limitedBy: string;
  readonly model: string;
  readonly share: number;
  /** Cost of a call in the currency of the policy. */
  readonly price: string;
}

const kinds: readonly Kind[] = [
  kind('GET', '/health', 0.25),
  kind('GET', '/v1/customers', 0.2, { route: '*' }),
  kind('POST', '/agent/chat', 0.15, { model: 'gpt-4o-mini', price: '0.000075' }),
  kind('POST', '/agent/chat', 0.05, { model: 'gpt-4o', price: '0.0015' }),
  kind('POST', '/agent/calendar', 0.1),
  kind('GET', '/audit/logs', 0.1),
  kind('POST', '/agents/scout/runs', 0.08, { route: '* /agents/*/runs' }),
  kind('POST', '/agent/chat', 0.04, { decision: 'limited', limitedBy: 'chat' }),
  kind('GET', '/v1/customers', 0.02, { route: '*', decision: 'limited', limitedBy: 'minute' }),
  kind('GET', '/audit/logs', 0.01, { decision: 'shadow_limited', limitedBy: 'audit-logs' }),
];

function kind(method: string, path: string, share: number, more: Partial<Kind> = {}): Kind {
  const usual = {
    route: `${method} ${path}`,
    decision: 'allowed' as const,
    limitedBy: '',
    model: '',
    price: '0',
  };
  return { ...usual, method, path, share, ...more };
}

const list = (values: readonly (string | number)[]): string =>
  `[${values.map((value) => (typeof value === 'number' ? value : `'${value}'`)).join(', ')}]`;
/** The value of a column for the kind with the number in `k`, counted from 1. */
const column = (key: keyof Kind): string => `${list(kinds.map((one) => one[key]))}[k]`;
const money = (text: string): string => `toDecimal128(${text}, 12)`;
const random = (salt: number, ...of: readonly string[]): string =>
  `(sipHash64(${[salt, ...of].join(', ')}) % 1000003 / 1000003)`;

/** Latencies of 16 intervals with twelve calls each. */
const latencyStates = `(SELECT groupArray(state) FROM (
        SELECT quantilesTDigestState(0.5, 0.95, 0.99)(toFloat32(exp(2.5 + 1.6 * (${random(3, 'number')} - 0.5)))) AS state
        FROM numbers(192) GROUP BY number % 16))`;

const tenantName = `'tenant-' || toString(tenant)`;
const plan = `['free', 'pro', 'enterprise'][1 + tenant % 3]`;

/**
 * Totals of one level between {from} and {to}, of intervals of {length} seconds: one row for each tenant and kind that has calls in
 * the interval. Tenant N has 1/N of the calls of tenant 1, and the calls of a day follow a wave.
 */
export const totalsSql = (table: 'stored_minutes' | 'stored_hours', time: 'minute' | 'hour'): string => `
INSERT INTO ${table} (${time}, tenant_id, plan, route, type, decision, model, requests, errors, units, cost_exact, quantities, reserved,
    reserved_units, latency, version)
WITH
    ${latencyStates} AS states,
    toUInt32(1 + intDiv(number, {intervals:UInt64})) AS tenant,
    number % {intervals:UInt64} AS interval,
    {from:UInt32} + interval * {length:UInt32} AS at,
    arrayJoin(range(1, ${kinds.length + 1})) AS k,
    {perHour:Float64} * log((tenant + 1) / tenant) / log({tenants:UInt32} + 1) * {length:UInt32} / 3600 AS rate,
    1 + 0.6 * sin((at % 86400) / 86400 * 2 * pi() + tenant) AS wave,
    toUInt64(floor(rate * wave * ${column('share')} * (0.5 + ${random(1, 'number', 'k')}) + ${random(2, 'number', 'k')})) AS calls,
    ${column('decision')} AS made
SELECT
    toDateTime(at, 'UTC'), ${tenantName}, ${plan}, ${column('route')}, 'tollgate.request.v1', made, ${column('model')},
    calls, if(made = 'limited', 0, intDiv(calls, 200)), calls,
    ${money(column('price'))} * calls, ${amounts('calls')}, map(), 0,
    states[1 + sipHash64(3, number, k) % 16],
    calls
FROM numbers({tenants:UInt32} * {intervals:UInt64})
WHERE calls > 0`;

function amounts(calls: string): string {
  const tokens = `${money('600')} * ${calls}`;
  return `if(${column('model')} = '', map(), map('tokens', ${tokens}, 'usd', ${money(column('price'))} * ${calls}))`;
}

/** Single calls between {fromMs} and {toMs} in the same proportions, of 20 users for each tenant. */
export const eventsSql = `
INSERT INTO stored_events (time, tenant_id, id_skew_ms, id_a, id_b, type, user_id, plan, method, route, path, status, decision,
    limited_by, units, cost_exact, model, quantities, latency_ms, check_us, node, sequence, client_ip, entrypoint, api_key,
    policy_revision, decided_after_us, ingested_at, kafka_partition, kafka_offset)
WITH
    {fromMs:Int64} + intDiv(toInt64(number) * ({toMs:Int64} - {fromMs:Int64}), {events:Int64}) AS ms,
    least({tenants:UInt32}, toUInt32(floor(pow({tenants:UInt32} + 1, ${random(4, 'number')})))) AS tenant,
    arrayFirstIndex(limit -> limit > ${random(5, 'number')}, ${list(shareEnds())}) AS k,
    toUInt32(20 * pow(${random(6, 'number')}, 2)) AS person,
    ${column('decision')} AS made
SELECT
    fromUnixTimestamp64Milli(ms, 'UTC'), ${tenantName}, 0, sipHash64(7, number) % 4096,
    bitAnd(sipHash64(8, number), 0x3fffffffffffffff), 'tollgate.request.v1',
    if(person = 0, '', 'user-' || toString(tenant * 100 + person)), ${plan}, ${column('method')}, ${column('route')},
    ${column('path')}, multiIf(made = 'limited', 429, sipHash64(9, number) % 200 = 0, 500, 200), made,
    if(${column('limitedBy')} = '', [], [${column('limitedBy')}]), 1, ${money(column('price'))}, ${column('model')}, ${amounts('1')},
    if(made = 'limited', 0.4, toFloat32(exp(2.5 + 1.6 * (${random(10, 'number')} - 0.5)))),
    toUInt32(80 + 400 * pow(${random(11, 'number')}, 3)), 'gateway-' || toString(number % 3), intDiv(number, 3),
    '10.' || toString(tenant % 256) || '.' || toString(person) || '.1', 'proxy', '', {revision:String}, 0,
    fromUnixTimestamp64Milli(ms + 250, 'UTC'), tenant % 12, intDiv(number, 12)
FROM numbers({events:UInt64})`;

/** For each kind, the sum of its share and of those before it. */
function shareEnds(): readonly number[] {
  let sum = 0;
  return kinds.map(({ share }, index) => {
    sum += share;
    return index === kinds.length - 1 ? 2 : Math.round(sum * 1000) / 1000;
  });
}

/** Two delivered alerts of each tenant, and audit entries of the last 90 days. */
export const alertsSql = `
INSERT INTO stored_alerts (alert_id, time, tenant_id, kind, limit_name, threshold, period, used, \`limit\`, channel, target, status,
    attempts)
SELECT lower(hex(sipHash128(number))), fromUnixTimestamp64Milli({nowMs:Int64} - toInt64(sipHash64(1, number) % 7776000000), 'UTC'),
    'tenant-' || toString(1 + number % {tenants:UInt32}), 'threshold', 'day', 0.8, now(), 800, 1000, 'webhook', 'example.com',
    'delivered', 1
FROM numbers(20 * {tenants:UInt32})`;

export const auditSql = `
INSERT INTO stored_audit (time, id, tenant_id, actor, source, action, detail, reason, completeness)
SELECT fromUnixTimestamp64Milli({nowMs:Int64} - toInt64(sipHash64(1, number) % 7776000000), 'UTC'), toString(number),
    'tenant-' || toString(1 + number % {tenants:UInt32}), 'robin', 'console', ['boost', 'block', 'sign-in', 'put'][1 + number % 4],
    'an action of the benchmark', 'a reason', 1
FROM numbers(50 * {tenants:UInt32})`;
