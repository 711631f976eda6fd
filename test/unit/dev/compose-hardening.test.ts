// Goal: kinds of mistakes in the container files that were found with a real engine do not return. The tests parse the files,
// because this machine has no container engine.
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { TObject } from 'typebox';
import { containerName, createOptions } from '../../../dev/servers/containers/start-container.ts';
import { imageOf } from '../../../dev/servers/containers/images.ts';
import { environment as admin } from '../../../services/admin/environment.ts';
import { environment as aggregator } from '../../../services/aggregator/environment.ts';
import { environment as alerter } from '../../../services/alerter/environment.ts';
import { environment as console } from '../../../services/console/environment.ts';
import { environment as gateway } from '../../../services/gateway/environment.ts';
import { environment as reconciler } from '../../../services/reconciler/environment.ts';

interface Service {
  readonly image?: string;
  readonly build?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string | null>>;
  readonly networks?: readonly string[];
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly read_only?: boolean;
  readonly user?: string;
  readonly mem_limit?: string;
  readonly pids_limit?: number;
  readonly stop_grace_period?: string;
  readonly logging?: { readonly options: Readonly<Record<string, string>> };
  readonly healthcheck?: { readonly test: readonly string[] };
}

const repository = join(import.meta.dirname, '..', '..', '..');
const read = (path: string): string => readFileSync(join(repository, path), 'utf8');
const text = read('docker-compose.yml');
const compose = parse(text, { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean } | null>>;
};
const services = Object.entries(compose.services);
const servers = ['redis', 'kafka', 'clickhouse'] as const;
const schemas: Readonly<Record<string, TObject>> = {
  gateway,
  aggregator,
  reconciler,
  alerter,
  admin,
  console,
};
/** Variables of TLS to Kafka and of addresses, which a compose stack with its own servers does not need. */
const notPassedOn = /^(KAFKA_SSL.*)$/;

describe('every container', () => {
  test.each(services)(
    '%s has no rights, bounded memory, processes and logs, and time to stop',
    (_, service) => {
      expect(service.cap_drop).toEqual(['ALL']);
      expect(service.security_opt).toEqual(['no-new-privileges:true']);
      expect(service.mem_limit).toBeDefined();
      expect(service.pids_limit).toBeGreaterThan(0);
      expect(service.logging?.options).toMatchObject({ 'max-size': '10m', 'max-file': '5' });
      expect(Number.parseInt(service.stop_grace_period ?? '0')).toBeGreaterThanOrEqual(30);
      expect(service.networks?.length).toBeGreaterThan(0);
    },
  );

  test('has a read-only root file system, except Grafana, which installs a plugin', () => {
    for (const [name, service] of services)
      if (name !== 'grafana') expect(service.read_only, name).toBe(true);
  });

  test('runs an image whose version and digest .env can set', () => {
    for (const [name, { image }] of services)
      expect(image, name).toMatch(/^\$\{[A-Z]+_IMAGE:-[\w./-]+:(?!latest)[\w.]+\}$/);
    expect(read('deploy/pin-images.sh')).toContain('docker-compose.yml');
  });
});

test('the servers are in networks of their own, require passwords, and publish on loopback only', () => {
  expect(compose.networks['data']?.internal).toBe(true);
  for (const name of servers) {
    const { networks = [], ports = [] } = compose.services[name]!;
    expect(networks).toContain('data');
    expect(networks).not.toContain('edge');
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  }
  expect(compose.services['upstream']?.networks).toEqual(['edge']);
  const passwords = ['REDIS_PASSWORD', 'KAFKA_PASSWORD', 'CLICKHOUSE_PASSWORD'];
  for (const password of passwords) expect(text).toContain(`\${${password}:?`);
  const users = read('deploy/compose/clickhouse-users.xml');
  expect(users).toMatch(/<default>[^]*<profile>reader<\/profile>[^]*<\/default>/);
  expect(users).toMatch(/<reader>[^]*<readonly>2<\/readonly>/);
});

test('every variable of a service is passed on', () => {
  for (const [name, schema] of Object.entries(schemas)) {
    const passed = Object.keys(compose.services[name]?.environment ?? {});
    const missing = Object.keys(schema.properties).filter(
      (variable) => !passed.includes(variable) && !notPassedOn.test(variable),
    );
    expect(missing, name).toEqual([]);
  }
});

test('.env.example has every variable that docker-compose.yml reads, and .env is not committed or built into the image', () => {
  const example = read('.env.example');
  const interpolated = [...text.matchAll(/\$\{([A-Z_]+)[:}]/g)].map(([, name = '']) => name);
  const passedOn = services.flatMap(([, { environment = {} }]) =>
    Object.entries(environment).flatMap(([name, value]) => (value === null ? [name] : [])),
  );
  for (const name of new Set([...interpolated, ...passedOn]))
    expect(example, name).toMatch(new RegExp(`^#?${name}=`, 'm'));
  const known = new Set([...interpolated, ...passedOn]);
  const listed = [...example.matchAll(/^#?([A-Z_]+)=/gm)].map(([, name = '']) => name);
  expect(listed.filter((name) => !known.has(name))).toEqual([]);
  for (const file of ['.gitignore', '.dockerignore']) expect(read(file)).toMatch(/^\.env$/m);
});

test('no health check starts a JVM, and Kafka registers again soon after a kill', () => {
  for (const [name, { healthcheck }] of services)
    expect(healthcheck?.test.join(' ') ?? '', name).not.toMatch(/kafka-.*\.sh|java/);
  const { environment = {} } = compose.services['kafka']!;
  expect(Number(environment['KAFKA_BROKER_SESSION_TIMEOUT_MS'])).toBeLessThanOrEqual(2_000);
});

test('the image has every file that a command and its imports read, readable under any umask', () => {
  const dockerfile = read('Dockerfile');
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, list = '']) =>
    list.split(' '),
  );
  expect(dockerfile).toMatch(/^RUN chmod -R a\+rX \.$/m);
  expect(dockerfile).toMatch(/COPY --from=sources \/app \.\//);
  const isCopied = (path: string): boolean =>
    copied.some((source) => path === source || path.startsWith(`${source}/`));
  const scripts = services.flatMap(([, { command = [] }]) => command.filter((word) => word.endsWith('.ts')));
  expect(scripts.length).toBeGreaterThan(6);
  for (const file of withImports(scripts)) expect(isCopied(file), file).toBe(true);
});

describe('npm start with containers', () => {
  const stackDir = '/home/user/tollgate/.local';

  test.each(servers)('%s keeps its data in a named volume and publishes its port on loopback', (name) => {
    const { HostConfig: host, ...options } = createOptions(name, { stackDir, port: 12_345 });
    const bindings = Object.values(host.PortBindings).flat();
    expect(bindings).toEqual([{ HostIp: '127.0.0.1', HostPort: '12345' }]);
    expect(host.Mounts).toEqual([
      { Type: 'volume', Source: containerName(stackDir, name), Target: expect.any(String) as string },
    ]);
    expect(host).not.toHaveProperty('Binds');
    expect(host.SecurityOpt).toEqual(['no-new-privileges']);
    expect(options.StopTimeout).toBeGreaterThanOrEqual(30);
    expect(compose.services[name]?.image).toBe(`\${${name.toUpperCase()}_IMAGE:-${imageOf(name)}}`);
  });

  test('two checkouts on one machine have containers and volumes of their own', () => {
    expect(containerName('/a/.local', 'redis')).not.toBe(containerName('/b/.local', 'redis'));
  });
});

/** The files and all files of this repository that they import, except types. */
function withImports(entries: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  const open = [...entries];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (found.has(path)) continue;
    found.add(path);
    for (const [, target = ''] of read(path).matchAll(
      /^(?:import|export) (?!type )[^;]*?from '(\.[^']+)';$/gm,
    ))
      open.push(normalize(join(dirname(path), target)));
  }
  return found;
}
