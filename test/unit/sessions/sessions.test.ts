import { describe, expect, test } from 'vitest';
import { createOperators } from '../../../shared/sessions/operators.ts';
import type { OperatorEntry } from '../../../shared/sessions/operators-file.ts';
import { createSessions } from '../../../shared/sessions/sessions.ts';
import type { KeyHolder } from '../../../shared/domain/tenant.ts';
import type { Sessions } from '../../../shared/sessions/sessions.ts';
import { createTokens } from '../../../shared/sessions/tokens.ts';

const clock = { nowMs: 1_800_000_000_000, now: () => clock.nowMs };
const tokens = createTokens('portal-secret-1234', 'admin-token-1234', clock);
const keySha256 = 'ab'.repeat(32);
const record = { tenant_id: 'acme', updated_at: '', updated_by: '' };

interface Known {
  /** Operators of the operators' file. */
  readonly entries?: readonly OperatorEntry[];
  readonly ended?: readonly string[];
  /** Links and sessions that started until then have ended. */
  readonly allUntilMs?: number;
  readonly endsReady?: boolean;
  readonly recordsReady?: boolean;
  /** Holder of the only API key; if absent, the key is in no record. */
  readonly holder?: KeyHolder;
}

function sessionsWith({
  entries = [],
  ended = [],
  allUntilMs = 0,
  endsReady = true,
  recordsReady = true,
  holder,
}: Known): Sessions {
  return createSessions({
    tokens,
    operators: createOperators({ current: () => entries }, 'admin-token-1234'),
    ended: {
      has: ({ id, startedAtMs }) => ended.includes(id) || startedAtMs <= allUntilMs,
      end: () => Promise.resolve(),
      endAll: () => Promise.resolve(),
      endOthers: () => Promise.resolve(),
      ready: () => endsReady,
      close: () => Promise.resolve(),
    },
    list: { of: () => [], note: () => undefined },
    directory: { byApiKeyHash: () => holder, ready: () => recordsReady },
    clock,
  });
}

const live = { record, key: { sha256: keySha256 }, expiresAtMs: Infinity };
const table: readonly (readonly [string, Known, string])[] = [
  ['with its key', { holder: live }, 'valid'],
  ['without its key', {}, 'ended'],
  [
    'with its key at another tenant',
    { holder: { ...live, record: { ...record, tenant_id: 'globex' } } },
    'ended',
  ],
  ['with an expired key', { holder: { ...live, expiresAtMs: clock.nowMs } }, 'ended'],
  ['before the records were read', { recordsReady: false }, 'unknown'],
  ['before the ended sessions were read', { holder: live, endsReady: false }, 'unknown'],
];

describe('a session is valid only while neither it nor its source has ended', () => {
  test.each(table)('of an API key: %s', async (_what, known, kind) => {
    const { token } = await tokens.signTenant('acme', { via: 'api_key', keySha256 }, 60_000);
    expect((await sessionsWith(known).readTenant(token)).kind).toBe(kind);
  });

  test('of a link: not after the link or the session was ended, and not before ended sessions were read', async () => {
    const { token, value } = await tokens.signTenant(
      'acme',
      { via: 'link', linkId: 'l1', linkStartedAtMs: null, managesKeys: true },
      60_000,
    );
    expect((await sessionsWith({}).readTenant(token)).kind).toBe('valid');
    for (const id of ['l1', value.id])
      expect((await sessionsWith({ ended: [id] }).readTenant(token)).kind).toBe('ended');
    expect((await sessionsWith({ endsReady: false }).readTenant(token)).kind).toBe('unknown');
  });

  test('of a link: not if the link was ended together with all others before the session began', async () => {
    const allUntilMs = clock.nowMs - 1_000;
    const kinds = [null, allUntilMs + 1, allUntilMs].map(async (linkStartedAtMs) => {
      const source = { via: 'link', linkId: 'l1', linkStartedAtMs, managesKeys: true } as const;
      const { token } = await tokens.signTenant('acme', source, 60_000);
      return (await sessionsWith({ allUntilMs }).readTenant(token)).kind;
    });
    expect(await Promise.all(kinds)).toEqual(['valid', 'valid', 'ended']);
  });

  test('of an operator, and a link itself', async () => {
    const [operator, link] = [
      await tokens.signOperator('robin', { via: 'admin_token' }, 60_000),
      await tokens.signLink('acme', 60_000, { sessionTtlMs: 1, managesKeys: true }),
    ];
    expect((await sessionsWith({}).readOperator(operator.token)).kind).toBe('valid');
    expect((await sessionsWith({}).readLink(link.token)).kind).toBe('valid');
    const ended = sessionsWith({ ended: [operator.value.id, link.value.id] });
    expect((await ended.readOperator(operator.token)).kind).toBe('ended');
    expect((await ended.readLink(link.token)).kind).toBe('ended');
    expect((await sessionsWith({ endsReady: false }).readOperator(operator.token)).kind).toBe('unknown');
  });

  test('lasts at most eight hours and no longer than its source', async () => {
    const sessions = sessionsWith({ holder: live });
    const lasts = async (sourceEndsAtMs: number): Promise<number> =>
      (await sessions.openTenant('acme', { via: 'jwt', userId: null }, sourceEndsAtMs)).value.expiresAtMs -
      clock.nowMs;
    expect(await lasts(Infinity)).toBe(8 * 3_600_000);
    expect(await lasts(clock.nowMs + 1_000)).toBe(1_000);
  });

  test('of an operator with a token: with the present role of the file, and not after the token has left it', async () => {
    const entry = { name: 'ada', role: 'admin', token_sha256: 'cd'.repeat(32) } as const;
    const source = { via: 'token', tokenSha256: entry.token_sha256 } as const;
    const { token } = await tokens.signOperator('ada', source, 60_000);
    const reading = (entries: readonly OperatorEntry[]) => sessionsWith({ entries }).readOperator(token);
    expect(await reading([entry])).toMatchObject({ kind: 'valid', value: { name: 'ada', role: 'admin' } });
    expect(await reading([{ ...entry, role: 'viewer' }])).toMatchObject({ value: { role: 'viewer' } });
    for (const other of [[], [{ ...entry, name: 'bob' }], [{ ...entry, token_sha256: 'ef'.repeat(32) }]])
      expect(await reading(other)).toEqual({ kind: 'ended' });
  });

  test('of an OpenID provider: with the role of the sign-in', async () => {
    const { token } = await tokens.signOperator('ada', { via: 'oidc', role: 'support' }, 60_000);
    expect(await sessionsWith({}).readOperator(token)).toMatchObject({ value: { role: 'support' } });
  });
});
