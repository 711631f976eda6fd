import type { StackFile, StackTenant } from './stack-file.ts';

export interface GreetingOptions {
  readonly stack: StackFile;
  readonly stackPath: string;
  /** Ports that could not be used because they were in use, e.g. `gateway 8080 → 40123`. */
  readonly moved: readonly string[];
  /** Monitoring programs that do not run, e.g. `prometheus is not installed: …`. */
  readonly missing: readonly string[];
  readonly secondsToReady: number;
  readonly traffic: boolean;
}

/** Text that `npm start` prints when all processes run: a table of addresses, and commands to copy. */
export function greeting({
  stack,
  stackPath,
  moved,
  missing,
  secondsToReady,
  traffic,
}: GreetingOptions): string {
  return [
    '',
    `Tollgate is ready after ${secondsToReady.toFixed(1)} s.`,
    '',
    ...table(stack),
    ...(moved.length === 0 ? [] : ['', `  Ports that were taken: ${moved.join(', ')}`]),
    ...(missing.length === 0 ? [] : ['', ...missing.map((line) => `  ! ${line}`)]),
    '',
    ...pasteable(stack),
    '',
    `  Everything above is in ${stackPath}. Logs: .local/log/. Ctrl-C ends it all${traffic ? '' : '; no sample traffic'}.`,
    '',
  ].join('\n');
}

function table({ urls, admin_token, service_token, tenants }: StackFile): string[] {
  const rows: [string, string, string][] = [
    ['gateway', urls['gateway'] ?? '', 'checks every call, then proxies it to the sample API'],
    ['api', urls['api'] ?? '', 'check, events, usage, sessions: /openapi.json'],
    ['admin', urls['admin'] ?? '', `Bearer ${admin_token}`],
    ['console', urls['console'] ?? '', 'portal (sign in with a token or key below), operators at /operator'],
    ['rls', urls['rls'] ?? '', 'Envoy rate limit service (gRPC)'],
    ['clickhouse', urls['clickhouse'] ?? '', 'database tollgate'],
    ['kafka', urls['kafka'] ?? '', 'topics tollgate.*.v1'],
    ['redis', urls['redis'] ?? '', ''],
    ['upstream', urls['upstream'] ?? '', 'the sample API itself'],
    ...(urls['prometheus'] === undefined
      ? []
      : [['prometheus', urls['prometheus'], 'with the alert rules'] as [string, string, string]]),
    ...(urls['alertmanager'] === undefined
      ? []
      : [
          ['alertmanager', urls['alertmanager'], 'notifies .local/log/on-call.log'] as [
            string,
            string,
            string,
          ],
        ]),
    ['service token', '', service_token],
    ...tenants.map((tenant): [string, string, string] => [
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

/** Tenants without sample traffic: the pages then show only the user's own calls. */
function pasteable({ urls, tenants, admin_token }: StackFile): string[] {
  const pro = quiet(tenants, 'pro');
  const chat = `curl -s -X POST ${urls['gateway']}/agent/chat -H 'Authorization: Bearer ${pro.jwt}' -H 'Content-Type: application/json' -d '{"message":"hello"}'`;
  const sql = `SELECT time, method, route, status, decision FROM tollgate.usage_events WHERE tenant_id = '${pro.tenant_id}' ORDER BY time DESC LIMIT 20 FORMAT PrettyCompact`;
  return [
    '  # A call through the gateway, with its limits in the headers',
    `  ${chat.replace('curl -s', 'curl -si')}`,
    '',
    '  # Eleven calls to a route that allows ten a minute: ten times 200, once 429',
    `  for i in $(seq 11); do ${chat.replace('curl -s', "curl -s -o /dev/null -w '%{http_code}\\n'")}; done`,
    '',
    '  # The same calls, counted',
    `  curl -s ${urls['api']}/v1/usage -H 'X-Api-Key: ${pro.api_key}'`,
    `  curl -s ${urls['clickhouse']} --data-binary "${sql}"`,
    '',
    `  # The tenant's own pages: sign in with the key ${pro.api_key}, or take a link`,
    `  curl -s -X POST ${urls['admin']}/admin/v1/portal-links -H 'Authorization: Bearer ${admin_token}' -H 'Content-Type: application/json' -d '{"tenant_id":"${pro.tenant_id}"}'`,
  ];
}

function quiet(tenants: readonly StackTenant[], plan: string): StackTenant {
  return tenants.find((tenant) => tenant.plan === plan && !tenant.busy)!;
}
