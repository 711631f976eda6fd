import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { sampleTenants } from './tenants.ts';
import type { SampleTenant } from './tenants.ts';

/**
 * Sends sample calls of the busy tenants through the gateway until the process is stopped. The file `STACK_FILE`
 * contains the address of the gateway and the tokens. A failed call is not retried.
 */
interface StackFile {
  readonly urls: { readonly gateway: string };
  readonly tenants: readonly {
    readonly tenant_id: string;
    readonly jwts: readonly string[];
    readonly api_key: string;
  }[];
}

interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: object;
}

const stackFile = process.env['STACK_FILE'];
if (stackFile === undefined) throw new Error('STACK_FILE names the file to read addresses and tokens from');
const stack = JSON.parse(await readFile(stackFile, 'utf8')) as StackFile;
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => process.exit(0));

const callTimeoutMs = 10_000;
const inFlightMax = 100;
let inFlight = 0;
let calls = 0;

for (const tenant of sampleTenants) if (tenant.trafficPerSecond > 0) void runTenant(tenant);
void runUnknownClients();

async function runTenant(tenant: SampleTenant): Promise<void> {
  for (;;) {
    // The rate rises and falls by half within five minutes. So graphs are not flat, and Sparrow exceeds its limit.
    const swing = 1 + 0.5 * Math.sin((Date.now() / 300_000) * 2 * Math.PI);
    await wait(exponential(1000 / (tenant.trafficPerSecond * swing)));
    void callAs(tenant, pick(tenantCalls));
  }
}

/** Two kinds of calls without a tenant: without a token (limited by address), and with an invalid token (refused). */
async function runUnknownClients(): Promise<void> {
  for (;;) {
    await wait(exponential(2_000));
    const bad = Math.random() < 0.2;
    const headers = bad ? { authorization: 'Bearer not-a-token' } : {};
    void send(
      { method: 'GET', path: '/health' },
      { ...headers, 'x-forwarded-for': address(198, Math.random() * 250) },
    );
  }
}

async function callAs(tenant: SampleTenant, call: Call): Promise<void> {
  const known = stack.tenants.find(({ tenant_id: id }) => id === tenant.tenantId);
  if (known === undefined) return;
  const user = Math.floor(Math.random() * known.jwts.length);
  const byKey = Math.random() < 0.25;
  const credential = byKey
    ? { 'x-api-key': known.api_key }
    : { authorization: `Bearer ${known.jwts[user] ?? ''}` };
  await send(call, {
    ...credential,
    'x-forwarded-for': address(203, sampleTenants.indexOf(tenant) * 16 + user),
  });
}

async function send(call: Call, headers: Readonly<Record<string, string>>): Promise<void> {
  if (inFlight >= inFlightMax) return;
  inFlight++;
  try {
    const response = await fetch(`${stack.urls.gateway}${call.path}`, {
      method: call.method,
      headers: call.body === undefined ? headers : { ...headers, 'content-type': 'application/json' },
      signal: AbortSignal.timeout(callTimeoutMs),
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
    });
    await response.arrayBuffer();
    if (++calls % 500 === 0) console.log(`${calls} calls`);
  } catch (error) {
    console.log(`${call.method} ${call.path}: ${String(error)}`);
  } finally {
    inFlight--;
  }
}

// A call that is listed more often is made more often: mostly small reads, some chats, and a few calls that fail.
const tenantCalls: readonly Call[] = [
  { method: 'GET', path: '/v1/customers' },
  { method: 'GET', path: '/v1/customers' },
  { method: 'GET', path: '/v1/orders?limit=20' },
  { method: 'POST', path: '/v1/orders', body: { sku: 'A-100', quantity: 2 } },
  { method: 'POST', path: '/agent/chat', body: { message: 'When is my next meeting?' } },
  { method: 'POST', path: '/agent/chat', body: { message: 'Summarise this week', stream: true } },
  { method: 'POST', path: '/agent/calendar', body: { title: 'Stand-up' } },
  { method: 'POST', path: '/v1/chat/completions', body: completion('gpt-4o-mini', false) },
  { method: 'POST', path: '/v1/chat/completions', body: completion('gpt-4o', true) },
  { method: 'GET', path: '/audit/logs' },
  { method: 'POST', path: '/agents/scout/runs', body: { goal: 'find leads' } },
  { method: 'GET', path: '/v1/reports/unstable' },
  { method: 'GET', path: '/status/404' },
  { method: 'POST', path: '/widget/chat', body: { message: 'Hello' } },
];

/** A call of an AI model. `policies/ai-budgets.yaml` limits the tokens and the money of these calls. */
function completion(model: string, stream: boolean): object {
  const messages = [{ role: 'user', content: 'Summarise the open orders of this week in five sentences.' }];
  return { model, messages, stream, max_completion_tokens: 400 };
}

function pick<Item>(items: readonly Item[]): Item {
  return items[Math.floor(Math.random() * items.length)]!;
}

/**
 * Addresses that are reserved for documentation (TEST-NET-2 and TEST-NET-3), so that no real client shares the limits
 * of these addresses.
 */
function address(net: 198 | 203, host: number): string {
  return net === 198 ? `198.51.100.${Math.floor(host) + 1}` : `203.0.113.${Math.floor(host) + 1}`;
}

/** Random pauses between calls, exponentially distributed as for independent callers (Poisson process). */
function exponential(meanMs: number): number {
  return Math.min(-Math.log(1 - Math.random()) * meanMs, meanMs * 10);
}
