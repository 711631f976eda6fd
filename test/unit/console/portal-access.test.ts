// Goal: a session of the portal may do no more than the credential that opened it and the policy allow.
import { expect, test } from 'vitest';
import { accessOf, isOfSameHolder } from '../../../services/console/sessions/portal-access.ts';
import type { SessionSource, TenantSession } from '../../../shared/sessions/claims.ts';
import { policyOf } from '../policy/text.ts';

const keySha256 = 'a'.repeat(64);
const key: SessionSource = { via: 'api_key', keySha256 };
const link: SessionSource = { via: 'link', linkId: 'l1', linkStartedAtMs: null, managesKeys: true };
const supportLink: SessionSource = { ...link, managesKeys: false };
const jwt: SessionSource = { via: 'jwt', userId: 'ada' };

/** Portal of the policy, source of the session, permissions of its key, may manage settings, and what it may do with keys. */
const table: [string | null, SessionSource, string[] | null, boolean, string][] = [
  [null, link, null, true, 'manage'],
  [null, key, null, true, 'manage'],
  [null, key, ['manage'], true, 'manage'],
  [null, key, ['usage', 'requests'], false, 'view'],
  [null, supportLink, null, true, 'view'],
  [null, jwt, null, true, 'view'],
  ['{ keys: view }', link, null, true, 'view'],
  ['{ keys: "off" }', link, null, true, 'off'],
  ['{ keys: "off" }', key, ['usage'], false, 'off'],
];

test.each(table)('with portal %s, a session %j of a key for %j: manages settings %s, keys %s', (...row) => {
  const [portal, source, permissions, mayManage, keys] = row;
  const policy = policyOf(portal === null ? {} : { portal });
  const scope = permissions === null ? {} : { scope: { permissions } };
  const record = {
    ...{ tenant_id: 'acme', api_keys: [{ sha256: keySha256, ...scope }] },
    ...{ updated_at: '', updated_by: '' },
  };
  expect(accessOf(policy, record, source)).toMatchObject({ mayManage, keys });
});

const managers: [SessionSource, string[] | null, boolean][] = [
  [link, null, true],
  [key, null, true],
  [key, ['manage'], true],
  [key, ['usage'], false],
  [supportLink, null, false],
  [jwt, null, false],
];

test.each(managers)('a session %j of a key for %j manages the sessions of the tenant: %s', (...row) => {
  const [source, permissions, managesSessions] = row;
  const scope = permissions === null ? {} : { scope: { permissions } };
  const record = {
    ...{ tenant_id: 'acme', api_keys: [{ sha256: keySha256, ...scope }] },
    ...{ updated_at: '', updated_by: '' },
  };
  for (const portal of [{}, { portal: '{ keys: "off" }' }])
    expect(accessOf(policyOf(portal), record, source)?.managesSessions).toBe(managesSessions);
});

test('sessions have the same holder if one key, one link or one user opened both', () => {
  const sessionOf = (id: string, source: SessionSource): TenantSession => ({
    ...{ id, owner: 'tenant acme', tenantId: 'acme', startedAtMs: 0, expiresAtMs: 1, source },
  });
  const noUser: SessionSource = { via: 'jwt', userId: null };
  const sources = [
    ...[key, link, jwt, noUser],
    ...[
      { ...key, keySha256: 'b'.repeat(64) },
      { ...link, linkId: 'l2' },
      { ...jwt, userId: 'grace' },
    ],
  ];
  for (const [own, a] of sources.entries())
    for (const [other, b] of sources.entries()) {
      const isSame = isOfSameHolder(sessionOf('s1', a), sessionOf('s2', b));
      expect([a, b, isSame]).toEqual([a, b, own === other && a !== noUser]);
    }
  expect(isOfSameHolder(sessionOf('s1', noUser), sessionOf('s1', noUser))).toBe(true);
});

test('a key without a permission for the portal opens none', () => {
  const record = {
    ...{
      tenant_id: 'acme',
      api_keys: [{ sha256: keySha256, scope: { permissions: ['requests', 'events'] } }],
    },
    ...{ updated_at: '', updated_by: '' },
  };
  expect(accessOf(policyOf({}), record, key)).toBeNull();
});

test('a key that is not in the record opens none', () => {
  const record = { tenant_id: 'acme', api_keys: [], updated_at: '', updated_by: '' };
  for (const one of [record, null]) expect(accessOf(policyOf({}), one, key)).toBeNull();
});

test('the history names the user of a token, shortened to what a record accepts', () => {
  const actorOf = (userId: string) => accessOf(policyOf({}), null, { via: 'jwt', userId })?.actor.actor;
  expect(actorOf('ada')).toBe('the tenant itself, by a token of user ada');
  expect(actorOf('a'.repeat(256))?.length).toBeLessThan(200);
});
