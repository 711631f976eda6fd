import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Registry } from 'prom-client';
import { describe, expect, test, vi } from 'vitest';
import { createRegistry } from '../../../shared/runtime/http/ops.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { hasRole, roles } from '../../../shared/domain/operators/operator.ts';
import { readOperatorsFile, watchOperatorsFile } from '../../../shared/sessions/operators-file.ts';
import type { OperatorEntry } from '../../../shared/sessions/operators-file.ts';
import { createOperators, operatorOf } from '../../../shared/sessions/operators.ts';

const soon = { timeout: 20_000 };
const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');
const entries = roles.map((role) => ({ name: `a ${role}`, role, token_sha256: sha256(`token of ${role}`) }));
const fileOf = (current: readonly OperatorEntry[]) => ({ current: () => current });
const operators = createOperators(fileOf(entries), 'the shared token');

function fileWith(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'operators-')), 'operators.yaml');
  writeFileSync(path, text);
  return path;
}

test('each role has the rights of the roles before it', () => {
  const rights = roles.map((held) => roles.filter((needed) => hasRole(held, needed)));
  expect(rights).toEqual([['viewer'], ['viewer', 'support'], ['viewer', 'support', 'admin']]);
});

describe('a token', () => {
  test.each(roles)('of the file has the role %s of its operator', (role) => {
    const holder = operators.byToken(`token of ${role}`);
    expect(holder).toMatchObject({ name: `a ${role}`, role, source: { via: 'token' } });
  });

  test('that is shared has the role admin and no name', () => {
    expect(operators.byToken('the shared token')).toEqual({
      name: null,
      role: 'admin',
      source: { via: 'admin_token' },
    });
  });

  test('that is in no file is refused, also an empty one when no admin token is set', () => {
    for (const token of ['', 'other', sha256('token of admin'), 'x'.repeat(5_000)])
      expect(operators.byToken(token)).toBeNull();
    expect(createOperators(fileOf([]), '').byToken('')).toBeNull();
  });
});

describe('the actor of the audit trail', () => {
  const named = (token: string, stated: string): string =>
    operatorOf(operators, operators.byToken(token)!, stated).name;

  test('is the operator of the token, whatever name the client states', () => {
    expect(named('token of viewer', 'a admin')).toBe('a viewer');
  });

  test('is the stated name for the shared token, marked if it is the name of an operator with a token', () => {
    expect(named('the shared token', ' robin ')).toBe('robin');
    for (const name of ['a admin', 'A ADMIN'])
      expect(named('the shared token', name)).toBe(`${name} (admin token)`);
    for (const name of ['', 'a\nb', 'x'.repeat(101), 'ä'])
      expect(named('the shared token', name)).toBe('admin');
  });

  test('is marked for a single sign-on with the name of an operator with a token', () => {
    expect(operators.actorNamed('A Admin', 'single sign-on')).toBe('A Admin (single sign-on)');
    expect(operators.actorNamed('ada@example.com', 'single sign-on')).toBe('ada@example.com');
  });
});

test('sessions that a token opened end when tokens no longer open sessions; single sign-ons continue', () => {
  const token = { via: 'token', tokenSha256: sha256('token of viewer') } as const;
  const rolesOf = (tokenSessions: boolean) => {
    const by = createOperators(fileOf(entries), 'the shared token', { tokenSessions });
    const oidc = { via: 'oidc', role: 'support' } as const;
    return [by.roleOf(token, 'a viewer'), by.roleOf({ via: 'admin_token' }, 'kim'), by.roleOf(oidc, 'ada')];
  };
  expect(rolesOf(true)).toEqual(['viewer', 'admin', 'support']);
  expect(rolesOf(false)).toEqual([null, null, 'support']);
});

describe('the operators’ file', () => {
  test('is read from YAML; without a path there are no operators', async () => {
    const path = fileWith(`operators:\n  - { name: ada, role: support, token_sha256: ${sha256('x')} }\n`);
    expect(await readOperatorsFile(path)).toEqual([
      { name: 'ada', role: 'support', token_sha256: sha256('x') },
    ]);
    expect(await readOperatorsFile('')).toEqual([]);
  });

  const [ada, bob] = [`name: ada, role: admin`, `name: bob, role: admin`];
  test.each([
    ['not YAML', 'operators: ['],
    ['an unknown role', `operators: [{ name: ada, role: owner, token_sha256: ${sha256('x')} }]`],
    ['a token in place of its hash', `operators: [{ ${ada}, token_sha256: secret }]`],
    [
      'a name twice',
      `operators: [{ ${ada}, token_sha256: ${sha256('x')} }, { ${ada}, token_sha256: ${sha256('y')} }]`,
    ],
    [
      'a token twice',
      `operators: [{ ${ada}, token_sha256: ${sha256('x')} }, { ${bob}, token_sha256: ${sha256('x')} }]`,
    ],
    ['a misspelt field', `operators: [{ ${ada}, token_sha256: ${sha256('x')}, rol: viewer }]`],
  ])('with %s stops the service at its start, with the path of the file', async (_what, text) => {
    await expect(readOperatorsFile(fileWith(text))).rejects.toThrow(/TOLLGATE_OPERATORS_FILE.*operators/s);
  });

  test('that does not exist stops the service too', async () => {
    await expect(readOperatorsFile('/nowhere/operators.yaml')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });

  test('is read again after an edit: a removed operator loses token and sessions, a role changes', async () => {
    const path = fileWith(textOf(['ada', 'admin'], ['bob', 'support']));
    const { file, by, registry } = await watched(path);
    const session = (name: string) => by.roleOf({ via: 'token', tokenSha256: sha256(name) }, name);
    expect([session('ada'), session('bob')]).toEqual(['admin', 'support']);
    writeFileSync(path, textOf(['bob', 'viewer'], ['kim', 'admin']));
    await vi.waitFor(() => expect(session('ada')).toBeNull(), soon);
    expect([session('bob'), by.byToken('ada'), by.byToken('kim')?.role]).toEqual(['viewer', null, 'admin']);
    expect(by.actorNamed('kim')).toBe('kim (admin token)');
    expect([file.refused(), await refusedIn(registry)]).toEqual([null, 0]);
    await file.close();
  });

  test.each([
    ['broken', (path: string) => writeFileSync(path, 'operators: [{ name: ada }]')],
    ['removed', (path: string) => rmSync(path)],
  ])('that is %s keeps the operators, and reports that until it is repaired', async (_what, harm) => {
    const path = fileWith(textOf(['ada', 'admin']));
    const { file, by, registry } = await watched(path);
    harm(path);
    await vi.waitFor(() => expect(file.refused()).toContain('TOLLGATE_OPERATORS_FILE'), soon);
    expect([by.byToken('ada')?.role, await refusedIn(registry)]).toEqual(['admin', 1]);
    writeFileSync(path, textOf(['kim', 'support']));
    await vi.waitFor(() => expect(file.refused()).toBeNull(), soon);
    expect([by.byToken('ada'), by.byToken('kim')?.role, await refusedIn(registry)]).toEqual([
      null,
      'support',
      0,
    ]);
    await file.close();
  });
});

/** A file with these operators, whose tokens are their names. */
function textOf(...operatorsOf: (readonly [name: string, role: string])[]): string {
  return JSON.stringify({
    operators: operatorsOf.map(([name, role]) => ({ name, role, token_sha256: sha256(name) })),
  });
}

async function watched(path: string) {
  const registry = createRegistry('test');
  const logger = createLogger('test', 'silent');
  const file = await watchOperatorsFile(path, { logger, registry, pollIntervalMs: 50 });
  return { file, registry, by: createOperators(file, 'the shared token') };
}

async function refusedIn(registry: Registry): Promise<number | undefined> {
  return (await registry.getSingleMetric('tollgate_operators_file_refused')?.get())?.values[0]?.value;
}
