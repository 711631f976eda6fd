import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { serviceNames } from '../../../dev/stack/services.ts';

/** The compose file cannot run on the machine of these tests. They check the parts that need no container engine. */
interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

interface Service {
  readonly image?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly extra_hosts?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
}

const repository = join(import.meta.dirname, '..', '..', '..');
const read = (path: string): string => readFileSync(join(repository, path), 'utf8');
const compose = parse(read('docker-compose.yml'), { merge: true }) as Compose;
const services = Object.entries(compose.services);
const secrets = [
  'TOLLGATE_JWT_SECRET',
  'TOLLGATE_SERVICE_TOKEN',
  'TOLLGATE_ADMIN_TOKEN',
  'TOLLGATE_PORTAL_SECRET',
];

describe('docker-compose.yml', () => {
  test('runs all services, their servers and the monitoring', () => {
    const servers = ['redis', 'kafka', 'clickhouse', 'prometheus', 'alertmanager', 'grafana'];
    expect(Object.keys(compose.services)).toEqual(expect.arrayContaining([...serviceNames, ...servers]));
  });

  test('starts every service by a file that exists', () => {
    for (const [name, { command }] of services) {
      const script = command?.find((word) => word.endsWith('.ts'));
      if (script !== undefined) expect(existsSync(join(repository, script)), `${name}: ${script}`).toBe(true);
    }
  });

  test('gives services only variables that docs/design.md names', () => {
    const documented = new Set(
      read('docs/design.md')
        .match(/`[A-Z][A-Z_]+`/g)
        ?.map((word) => word.slice(1, -1)),
    );
    for (const name of serviceNames) {
      const variables = Object.keys(compose.services[name]?.environment ?? {});
      expect(
        variables.filter((variable) => !documented.has(variable)),
        name,
      ).toEqual([]);
    }
  });

  test('has no default for a secret, and .env.example names each without a value', () => {
    const example = read('.env.example');
    for (const secret of [...secrets, 'GRAFANA_ADMIN_PASSWORD']) {
      expect(read('docker-compose.yml')).toContain(`\${${secret}:?`);
      expect(example).toMatch(new RegExp(`^${secret}=$`, 'm'));
    }
  });

  test('checks the health of all that stays up, and waits for it', () => {
    for (const [name, service] of services) {
      if (name !== 'topics') expect(service.healthcheck?.test[0], name).toBe('CMD');
      for (const [needed, { condition }] of Object.entries(service.depends_on ?? {})) {
        expect(compose.services[needed], `${name} needs ${needed}`).toBeDefined();
        expect(condition).toBe(needed === 'topics' ? 'service_completed_successfully' : 'service_healthy');
      }
    }
  });

  test('publishes on loopback only, keeps state in named volumes, and mounts what exists', () => {
    for (const [name, { ports = [], volumes = [] }] of services) {
      for (const port of ports) expect(port, name).toMatch(/^127\.0\.0\.1:/);
      for (const volume of volumes) {
        const source = volume.split(':')[0]!;
        if (source.startsWith('.'))
          expect(existsSync(join(repository, source)), `${name}: ${source}`).toBe(true);
        else expect(compose.volumes, name).toHaveProperty(source);
      }
    }
  });

  test('Grafana and Alertmanager reach the webhooks of alerts without a mail server, which .env can name', () => {
    for (const file of [
      'grafana/provisioning/alerting/contact-points.yaml',
      'alertmanager/alertmanager.yml',
    ]) {
      const urls = [...read(`dashboards/generated/${file}`).matchAll(/url: (\S+)/g)].map(
        ([, url = '']) => url,
      );
      expect(urls.map((url) => new URL(url).hostname)).toEqual([
        'host.docker.internal',
        'host.docker.internal',
      ]);
    }
    for (const name of ['grafana', 'alertmanager'])
      expect(compose.services[name]?.extra_hosts).toEqual(['host.docker.internal:host-gateway']);
    const { environment = {} } = compose.services['grafana'] ?? {};
    expect(environment['GF_SMTP_ENABLED']).toBe('${GRAFANA_SMTP_ENABLED:-false}');
    expect(environment['GF_SMTP_HOST']).toBe('${GRAFANA_SMTP_HOST:-}');
    expect(read('.env.example')).not.toMatch(/^GRAFANA_SMTP/m);
  });
});

test('Dockerfile: the image runs as a user without rights, from files that exist', () => {
  const dockerfile = read('Dockerfile');
  expect(dockerfile).toMatch(/^USER node$/m);
  for (const [, sources] of dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)) {
    for (const source of sources!.split(' ')) expect(existsSync(join(repository, source)), source).toBe(true);
  }
});
