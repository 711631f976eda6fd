import { requestEventType } from '../../../shared/domain/usage-event.ts';

/** Number from 0 (inclusive) to 1 (exclusive) that depends on the seed, the call and the purpose `salt`. */
function chance(salt: number): string {
  return `(sipHash64({seed:UInt64}, ${salt}, id, toUInt32(age), n) / 18446744073709551616)`;
}

interface SampleCall {
  readonly method: string;
  readonly path: string;
  /** Pattern of the route in `policies/default.yaml`; `*` if it has none. */
  readonly route: string;
  readonly status: number;
  readonly latencyMs: number;
  readonly price: string;
  /** Model of a call whose usage is measured; its cost is that of its tokens. */
  readonly model?: string;
}

const free = '0';
/** The calls of `dev/sample/traffic.ts`, in the same proportions. Calls of models have the routes of `policies/ai-budgets.yaml`. */
const calls: readonly SampleCall[] = [
  { method: 'GET', path: '/v1/customers', route: '*', status: 200, latencyMs: 8, price: free },
  { method: 'GET', path: '/v1/customers', route: '*', status: 200, latencyMs: 8, price: free },
  { method: 'GET', path: '/v1/orders', route: '*', status: 200, latencyMs: 9, price: free },
  { method: 'POST', path: '/v1/orders', route: '*', status: 201, latencyMs: 10, price: free },
  {
    method: 'POST',
    path: '/agent/chat',
    route: 'POST /agent/chat',
    status: 200,
    latencyMs: 90,
    price: '0.000075',
  },
  {
    method: 'POST',
    path: '/agent/chat',
    route: 'POST /agent/chat',
    status: 200,
    latencyMs: 140,
    price: '0.000075',
  },
  {
    method: 'POST',
    path: '/agent/calendar',
    route: 'POST /agent/calendar',
    status: 201,
    latencyMs: 22,
    price: free,
  },
  { method: 'GET', path: '/audit/logs', route: 'GET /audit/logs', status: 200, latencyMs: 11, price: free },
  {
    method: 'POST',
    path: '/agents/scout/runs',
    route: '* /agents/*/runs',
    status: 202,
    latencyMs: 30,
    price: free,
  },
  { method: 'GET', path: '/v1/reports/unstable', route: '*', status: 200, latencyMs: 60, price: free },
  { method: 'GET', path: '/status/404', route: '*', status: 404, latencyMs: 6, price: free },
  { method: 'POST', path: '/widget/chat', route: '*', status: 201, latencyMs: 9, price: free },
  modelCall('/v1/chat/completions', 'gpt-4o-mini-2024-07-18', 900),
  modelCall('/v1/chat/completions', 'gpt-4o-2024-08-06', 1_400),
  modelCall('/v1/messages', 'claude-sonnet-4-20250514', 1_800),
];

function modelCall(path: string, model: string, latencyMs: number): SampleCall {
  return { method: 'POST', path, route: `POST ${path}`, status: 200, latencyMs, price: free, model };
}

/** Prices of a token in `policies/ai-budgets.yaml`, for the calls of models above. */
const tokenPrices: Readonly<Record<string, readonly [input: string, output: string]>> = {
  'gpt-4o-mini-2024-07-18': ['0.00000015', '0.0000006'],
  'gpt-4o-2024-08-06': ['0.0000025', '0.00001'],
  'claude-sonnet-4-20250514': ['0.000003', '0.000015'],
};

const list = (values: readonly (string | number)[]): string =>
  `[${values.map((value) => (typeof value === 'number' ? value : `'${value}'`)).join(', ')}]`;
const column = (key: keyof SampleCall): string => `${list(calls.map((call) => call[key] ?? ''))}[call]`;
/** Price of an input token (0) or an output token (1) of the call's model. */
const tokenPrice = (of: 0 | 1): string =>
  `toDecimal128(${list(calls.map(({ model = '' }) => tokenPrices[model]?.[of] ?? '0'))}[call], 12)`;
/** Output tokens that a call of a model reserves. */
const reservedOutput = 1_000;

/** Day of the incident in days before today. It depends on the seed. */
const incidentAge = '(18 + sipHash64({seed:UInt64}) % 20)';

/** Amounts of a call of a model where the condition holds: its tokens, and its cost rounded up to 0.000001. */
function amounts(condition: string, tokens: string, cost: string): string {
  const rounded = `toDecimal128(ceil(${cost} * 1000000) / 1000000, 12)`;
  return `if(${condition}, map('tokens', toDecimal128(${tokens}, 12), 'usd', ${rounded}), map())`;
}

/**
 * One row for each call. The number of calls of a day grows over the weeks, is lower at weekends and varies by a tenth.
 * The times of a day's calls ascend with their number `n` and are dense around noon, so that the calls beyond a daily
 * quota are those with the highest numbers. Offsets and sequence numbers are those of no partition and of no gateway,
 * so that the loss audit does not search for their neighbours.
 */
export const historyCallsSql = `WITH
    arrayJoin(arrayZip({ids:Array(String)}, {plans:Array(String)}, {calls:Array(UInt32)}, {quotas:Array(UInt32)}, {busy:Array(UInt8)})) AS tenant,
    tenant.1 AS id, tenant.4 AS quota, id = 'anonymous' AS anonymous,
    arrayJoin(range(tenant.5 = 1 ? 0 : 1, {days:UInt16} + 1)) AS age,
    toDateTime({today:UInt32}, 'UTC') - toIntervalDay(age) AS day,
    toUInt32(tenant.3 * (1 - 0.5 * age / {days:UInt16}) * if(toDayOfWeek(day) >= 6, 0.35, 1)
        * (0.9 + 0.2 * sipHash64({seed:UInt64}, id, toUInt32(age)) / 18446744073709551616)) AS total,
    arrayJoin(range(total)) AS n,
    (n + ${chance(1)}) / total AS u,
    toUnixTimestamp(day) * 1000 + toInt64(86400000 * (u + 0.75 / (2 * pi()) * sin(2 * pi() * u))) AS at_ms,
    if(anonymous, 1, 1 + toUInt8(${chance(2)} * ${calls.length})) AS call,
    age = ${incidentAge} AND (at_ms / 1000) % 86400 BETWEEN 46000 AND 54000 AS incident,
    multiIf(
        anonymous, if(${chance(3)} < 0.2, 'unauthenticated', ''),
        quota > 0 AND n >= quota, 'day',
        id = 'sparrow' AND ${chance(3)} < 0.12, 'minute',
        quota = 0 AND call IN (5, 6) AND ${chance(3)} < 0.04, 'chat',
        '') AS refused,
    multiIf(
        refused = 'unauthenticated', 401,
        refused != '', 429,
        incident AND ${chance(4)} < 0.8, 503,
        call = 10 AND ${chance(4)} < 0.33, 503,
        anonymous, 200,
        ${column('status')}) AS answered,
    if(anonymous, '', ${column('model')}) AS called_model,
    called_model != '' AND refused = '' AS reserves,
    reserves AND answered < 500 AS generates,
    toUInt64(if(generates, 80 + 1400 * pow(${chance(13)}, 2), 0)) AS input_tokens,
    toUInt64(if(generates, 40 + 700 * pow(${chance(14)}, 2), 0)) AS output_tokens,
    input_tokens * ${tokenPrice(0)} + output_tokens * ${tokenPrice(1)} AS token_cost,
    toUInt64(1.25 * input_tokens + 60) AS reserved_input,
    reserved_input * ${tokenPrice(0)} + ${reservedOutput} * ${tokenPrice(1)} AS reserved_cost
SELECT
    fromUnixTimestamp64Milli(at_ms, 'UTC'), id, 0,
    sipHash64({seed:UInt64}, 5, id, toUInt32(age), n) % 4096,
    bitAnd(sipHash64({seed:UInt64}, 6, id, toUInt32(age), n), 0x3fffffffffffffff),
    0, false, '${requestEventType}',
    if(anonymous, '', concat('user-', toString(1 + toUInt8(${chance(7)} * 3)), '@', id, '.example')),
    tenant.2,
    if(anonymous, 'GET', ${column('method')}),
    if(anonymous, 'GET /health', ${column('route')}),
    if(anonymous, '/health', ${column('path')}),
    answered,
    if(refused = '', 'allowed', 'limited'),
    if(refused = '', [], [refused]),
    if(refused = '', 1, 0),
    multiIf(reserves, token_cost, refused = '' AND NOT anonymous, toDecimal128(${column('price')}, 12), 0),
    if(refused = '', ${column('latencyMs')} * exp(0.35 * (${chance(8)} + ${chance(9)} + ${chance(10)} - 1.5) * 2)
        * if(incident, 15, 1), 0.4),
    150 + toUInt32(450 * pow(${chance(11)}, 3)),
    'sample-history', 0, false,
    if(anonymous, concat('198.51.100.', toString(1 + toUInt8(${chance(12)} * 250))),
        concat('203.0.113.', toString(1 + toUInt8(${chance(7)} * 3)))),
    'proxy',
    called_model,
    ${amounts('generates', 'input_tokens + output_tokens', 'token_cost')},
    if(generates, map('input_tokens', input_tokens, 'output_tokens', output_tokens), map()),
    if(generates, 'reported', ''),
    multiIf(generates, 'settled', reserves, 'cancelled', ''),
    ${amounts('reserves', `reserved_input + ${reservedOutput}`, 'reserved_cost')},
    toDateTime(if(reserves, toUInt32(at_ms / 1000) + 600, 0), 'UTC'),
    fromUnixTimestamp64Milli(at_ms + 300, 'UTC'), 65535, 0
WHERE at_ms < {now:Int64} - 60000`;

export const historyEventsSql = `
INSERT INTO stored_events (time, tenant_id, id_skew_ms, id_a, id_b, revision, voided, type, user_id, plan, method, route, path,
    status, decision, limited_by, units, cost_exact, latency_ms, check_us, node, sequence, degraded, client_ip, entrypoint,
    model, quantities, measures, usage_source, reservation, reserved, reserved_until, ingested_at, kafka_partition, kafka_offset)
${historyCallsSql}`;

/** The alert of each day on which a tenant used up its daily quota. */
export const historyAlertsSql = `
INSERT INTO stored_alerts (alert_id, time, tenant_id, kind, limit_name, threshold, period, used, \`limit\`, exhausted_at, channel,
    target, status, attempts, error)
SELECT
    lower(hex(sipHash128({seed:UInt64}, tenant_id, toDate(time)))), min(time), tenant_id, 'exceeded', 'day', 1,
    toStartOfDay(min(time)), any({quotas:Array(UInt32)}[indexOf({ids:Array(String)}, tenant_id)]) AS quota, quota, min(time),
    'log', 'log', 'delivered', 1, ''
FROM stored_events
WHERE has(limited_by, 'day') AND time < toDateTime({today:UInt32}, 'UTC')
    AND time >= toDateTime({today:UInt32}, 'UTC') - toIntervalDay({days:UInt16})
GROUP BY tenant_id, toDate(time)`;
