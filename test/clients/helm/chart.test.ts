import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { environmentTable } from '../../../dev/environment-table.ts';
import { serviceNames } from '../../../dev/stack/services.ts';
import { lint, render, validate } from './helm.ts';
import type { KubernetesObject } from './helm.ts';

const required = {
  existingSecret: 'tollgate',
  kafka: { brokers: 'kafka-1:9092,kafka-2:9092' },
  clickhouse: { url: 'https://clickhouse:8443' },
  consoleUrl: 'https://console.example.com',
};
const everything = {
  ...required,
  kafka: { ...required.kafka, ssl: true, saslMechanism: 'scram-sha-512', saslUsername: 'tollgate' },
  redis: { url: 'redis://redis:6379' },
  upstream: 'http://api',
  brand: { name: 'Acme', supportUrl: 'mailto:help@example.com' },
  image: { digest: `sha256:${'0'.repeat(64)}` },
  imagePullSecrets: [{ name: 'registry' }],
  operators: `operators: [{ name: ada, role: admin, token_sha256: ${'0'.repeat(64)} }]`,
  oidc: {
    issuer: 'https://login.example.com',
    clientId: 'tollgate',
    roleMap: 'platform=admin',
    tokenSignIn: false,
  },
  aggregator: { autoscaling: { enabled: true } },
  monitoring: {
    prometheusOperator: { enabled: true, labels: { release: 'prometheus' } },
    grafana: { sidecar: true, operator: true, instanceSelector: { matchLabels: { dashboards: 'grafana' } } },
  },
  nodeSelector: { disk: 'ssd' },
  tolerations: [{ key: 'api', operator: 'Exists' }],
};

interface Container {
  readonly name: string;
  readonly env: readonly { readonly name: string }[];
  readonly resources: { readonly requests: object; readonly limits: object };
  readonly securityContext: object;
  readonly livenessProbe: object;
  readonly readinessProbe: object;
  readonly volumeMounts: readonly { readonly name: string }[];
}

function ofKind(objects: readonly KubernetesObject[], kind: string): readonly KubernetesObject[] {
  return objects.filter((object) => object.kind === kind);
}

function containerOf({ spec }: KubernetesObject): Container {
  const { template } = spec as unknown as { template: { spec: { containers: Container[] } } };
  return template.spec.containers[0]!;
}

test.each([
  ['the required values', required],
  ['all values', everything],
])('F7: the chart with %s passes helm lint and the schemas of Kubernetes', async (_, values) => {
  expect(await lint(values)).toContain('0 chart(s) failed');
  const lines = await validate(values);
  expect(lines).toEqual([expect.stringMatching(/^\d\d+ objects$/)]);
});

test.each([
  ['existingSecret', /existingSecret is the name of the Secret/],
  ['consoleUrl', /consoleUrl is the address/],
  ['kafka', /kafka\.brokers is needed/],
  ['clickhouse', /clickhouse\.url is needed/],
])('a missing %s is an error that says what to set', async (name, message) => {
  await expect(render({ ...required, [name]: undefined })).rejects.toThrow(message);
});

test('every service has probes, resources, a disruption budget and no rights', async () => {
  const objects = await render(required);
  const workloads = [...ofKind(objects, 'StatefulSet'), ...ofKind(objects, 'Deployment')];
  expect(workloads.map(({ metadata }) => metadata.name).sort()).toEqual(
    serviceNames.map((name) => `shop-${name}`).sort(),
  );
  const budgets = ofKind(objects, 'PodDisruptionBudget').map(({ metadata }) => metadata.name);
  for (const workload of workloads) {
    const container = containerOf(workload);
    expect(container).toMatchObject({
      livenessProbe: { httpGet: { path: '/healthz' } },
      readinessProbe: { httpGet: { path: '/readyz' } },
      resources: {
        requests: { cpu: expect.anything() as unknown },
        limits: { memory: expect.anything() as unknown },
      },
      securityContext: {
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
      },
    });
    expect(budgets).toContain(workload.metadata.name);
  }
});

test('a gateway keeps its spool in a volume of its own and scales with its CPU, an aggregator with its lag', async () => {
  const objects = await render(everything);
  const [gateway] = ofKind(objects, 'StatefulSet');
  expect(gateway?.spec).toMatchObject({
    persistentVolumeClaimRetentionPolicy: { whenScaled: 'Retain', whenDeleted: 'Retain' },
    volumeClaimTemplates: [{ metadata: { name: 'spool' } }],
  });
  expect(containerOf(gateway!).volumeMounts.map(({ name }) => name)).toContain('spool');
  const metrics = Object.fromEntries(
    ofKind(objects, 'HorizontalPodAutoscaler').map(({ metadata, spec }) => [metadata.name, spec['metrics']]),
  );
  expect(metrics['shop-gateway']).toMatchObject([{ type: 'Resource', resource: { name: 'cpu' } }]);
  const lag = 'tollgate_kafka_lag_seconds';
  expect(metrics['shop-aggregator']).toMatchObject([{ type: 'Pods', pods: { metric: { name: lag } } }]);
  expect(readFileSync('docs/metrics.md', 'utf8')).toContain(`\`${lag}\``);
});

test('migrations run as a job before an installation and an upgrade', async () => {
  const [job] = ofKind(await render(required), 'Job');
  expect(job?.metadata).toMatchObject({ annotations: { 'helm.sh/hook': 'pre-install,pre-upgrade' } });
  expect(JSON.stringify(job?.spec)).toMatch(/"topics","create"[^]+"tables","create"/);
});

test('the admin API and the console get the file of operators, and the console alone the OpenID provider', async () => {
  const objects = await render(everything);
  const [secret] = ofKind(objects, 'Secret').filter(({ metadata }) => metadata.name === 'shop-operators');
  expect(secret).toMatchObject({ stringData: { 'operators.yaml': everything.operators } });
  for (const workload of [...ofKind(objects, 'StatefulSet'), ...ofKind(objects, 'Deployment')]) {
    const { name, env, volumeMounts } = containerOf(workload);
    const names = env.map((variable) => variable.name);
    const hasFile = name === 'admin' || name === 'console';
    expect([name, names.includes('TOLLGATE_OPERATORS_FILE')]).toEqual([name, hasFile]);
    expect([name, volumeMounts.some((mount) => mount.name === 'operators')]).toEqual([name, hasFile]);
    expect([name, names.some((one) => one.includes('OIDC'))]).toEqual([name, name === 'console']);
  }
  const [console] = ofKind(objects, 'Deployment').filter(({ metadata }) => metadata.name === 'shop-console');
  expect(containerOf(console!).env).toContainEqual({ name: 'TOLLGATE_TOKEN_SIGN_IN', value: 'off' });
  await expect(render({ ...required, oidc: { issuer: 'https://x' } })).rejects.toThrow(/oidc\.clientId is/);
});

test('each service gets only variables that exist, and only the secrets that it reads', async () => {
  const objects = await render(everything);
  const table = environmentTable();
  for (const workload of [...ofKind(objects, 'StatefulSet'), ...ofKind(objects, 'Deployment')]) {
    const { name, env } = containerOf(workload);
    const names = env.map((variable) => variable.name);
    expect(new Set(names).size).toBe(names.length);
    for (const variable of names) expect(table).toContain(`| \`${variable}\` |`);
    expect(names.includes('TOLLGATE_ADMIN_TOKEN'), name).toBe(['admin', 'console'].includes(name));
    expect(names.includes('TOLLGATE_JWT_SECRET'), name).toBe(name !== 'aggregator');
    const hasBrand = name === 'alerter' || name === 'console';
    expect(names.includes('TOLLGATE_BRAND_NAME'), name).toBe(hasBrand);
    expect(names.includes('TOLLGATE_SUPPORT_URL'), name).toBe(hasBrand);
    expect(names.includes('SMTP_URL'), name).toBe(name === 'alerter');
  }
});

test('the rules and dashboards of the operators are the generated files', async () => {
  const objects = await render(everything);
  const [rules] = ofKind(objects, 'PrometheusRule');
  expect(rules?.spec).toEqual(parse(readFileSync('dashboards/generated/prometheus/rules.yml', 'utf8')));
  const dashboards = ofKind(objects, 'GrafanaDashboard');
  expect(dashboards.length).toBeGreaterThan(10);
  for (const { spec } of dashboards) expect(() => JSON.parse(String(spec['json'])) as unknown).not.toThrow();
  expect(new Set(dashboards.map(({ metadata }) => metadata.name)).size).toBe(dashboards.length);
});
