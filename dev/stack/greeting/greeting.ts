import { quietTenant } from '../stack-file.ts';
import type { StackFile } from '../stack-file.ts';

export interface GreetingOptions {
  readonly stack: StackFile;
  readonly stackPath: string;
  /** Absolute path of the directory with the files of HTTP headers. */
  readonly headersDir: string;
  /** Ports that could not be used because they were in use, e.g. `gateway 8080 → 40123`. */
  readonly moved: readonly string[];
  /** Monitoring programs that do not run, e.g. `prometheus is not installed: …`. */
  readonly missing: readonly string[];
  readonly secondsToReady: number;
  readonly traffic: boolean;
}

/** Text that `npm start` prints when all processes run: a table of addresses, and commands to copy. */
export function greeting(options: GreetingOptions): string {
  const { stack, stackPath, moved, missing, secondsToReady, traffic } = options;
  return [
    '',
    `Tollgate is ready after ${secondsToReady.toFixed(1)} s.`,
    '',
    ...table(stack),
    ...(moved.length === 0 ? [] : ['', `  Ports that were in use: ${moved.join(', ')}`]),
    ...(missing.length === 0 ? [] : ['', ...missing.map((line) => `  ! ${line}`)]),
    '',
    ...commandsToPaste(options).map((line) => (line === '' ? '' : `  ${line}`)),
    '',
    `  Everything above is in ${stackPath}. Logs: .local/log/. Ctrl-C stops everything${traffic ? '' : '; no sample traffic'}.`,
    '',
  ].join('\n');
}

type Row = readonly [name: string, address: string, note: string];

function table({ urls, links, admin_token, service_token, tenants }: StackFile): string[] {
  const optional = (name: string, note: string): Row[] =>
    urls[name] === undefined ? [] : [[name, urls[name], note]];
  const rows: Row[] = [
    ['portal', links.portal, `signed in as ${quietTenant(tenants, 'pro').tenant_id}`],
    ['operators', links.operator, 'the operator console, signed in'],
    ['gateway', urls['gateway'] ?? '', 'checks every call, then proxies it to the sample API'],
    ['api', urls['api'] ?? '', 'check, events, usage, sessions: /openapi.json'],
    ['admin', urls['admin'] ?? '', `Bearer ${admin_token}`],
    ['console', urls['console'] ?? '', 'portal (sign in with a token or key below), operators at /operator'],
    ['rls', urls['rls'] ?? '', 'Envoy rate limit service (gRPC)'],
    ['clickhouse', urls['clickhouse'] ?? '', 'database tollgate'],
    ['kafka', urls['kafka'] ?? '', 'topics tollgate.*.v1'],
    ['redis', urls['redis'] ?? '', ''],
    ['upstream', urls['upstream'] ?? '', 'the sample API itself'],
    ...optional('prometheus', 'with the alert rules'),
    ...optional('alertmanager', 'notifies .local/log/on-call.log'),
    ['service token', '', service_token],
    ...tenants.map((tenant): Row => [
      tenant.tenant_id,
      `${tenant.plan}${tenant.busy ? ', live traffic' : ', quiet'}`,
      `key ${tenant.api_key}`,
    ]),
  ];
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map(([name, where, note]) =>
    `  ${name.padEnd(widths[0]!)}  ${where.padEnd(widths[1]!)}  ${note}`.trimEnd(),
  );
}

/**
 * Commands that do what their comments say when they are pasted in this order, within a minute. The tenant has no
 * sample traffic: the pages then show only the user's own calls. The file of headers keeps the lines short.
 */
export function commandsToPaste({
  stack: { urls, tenants },
  headersDir,
}: Pick<GreetingOptions, 'stack' | 'headersDir'>): string[] {
  const { tenant_id: tenant } = quietTenant(tenants, 'pro');
  const as = (name: string): string => `-H @$H/${name}`;
  const sql = `SELECT time, route, status, decision FROM tollgate.usage_events WHERE tenant_id = '${tenant}' AND time > now() - INTERVAL 10 MINUTE ORDER BY time FORMAT PrettyCompact`;
  return [
    `H=${headersDir}`,
    '',
    '# A call through the gateway, with its limits in the headers',
    `curl -si ${as(tenant)} ${urls['gateway']}/v1/orders`,
    '',
    '# Eleven calls to a route that allows ten a minute: ten times 200, once 429',
    `for i in $(seq 11); do curl -s -o /dev/null -w '%{http_code}\\n' ${as(tenant)} -X POST ${urls['gateway']}/agent/chat; done`,
    '',
    '# These twelve calls, stored in ClickHouse within seconds',
    `curl -s ${as(tenant)} ${urls['api']}/v1/usage`,
    `curl -s ${urls['clickhouse']} --data-binary "${sql}"`,
    '',
    '# A link to the portal, which a tenant could get by e-mail',
    `curl -s ${as('admin')} ${urls['admin']}/admin/v1/portal-links -d '{"tenant_id":"${tenant}"}'`,
  ];
}
