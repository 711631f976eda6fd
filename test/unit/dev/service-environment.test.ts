import { expect, test } from 'vitest';
import { serviceEnvironment } from '../../../dev/stack/service-environment.ts';
import { serviceNames } from '../../../dev/stack/services.ts';
import { oidcVariables } from '../../../services/console/operator/oidc/settings.ts';

const place = {
  secrets: { jwt: 'j', serviceToken: 's', adminToken: 'a', portalSecret: 'p' },
  ports: {},
  addresses: { redis: '', kafka: '', clickhouse: '' },
  localDir: '/local',
} as never;

test('npm start passes the file of operators to the services that read it, and the OpenID provider to the console alone', () => {
  const oidc = Object.keys(oidcVariables);
  const env = Object.fromEntries(['TOLLGATE_OPERATORS_FILE', ...oidc].map((name) => [name, `my ${name}`]));
  for (const name of serviceNames) {
    const passed = Object.entries(serviceEnvironment(name, { ...(place as object), env } as never));
    const own = passed.flatMap(([variable, value]) => (value === `my ${variable}` ? [variable] : []));
    const file = name === 'admin' || name === 'console' ? ['TOLLGATE_OPERATORS_FILE'] : [];
    expect([name, own.toSorted()]).toEqual([name, [...file, ...(name === 'console' ? oidc : [])].toSorted()]);
  }
});
