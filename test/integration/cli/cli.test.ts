import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deadLetterRecord } from '../../../shared/domain/topics/dead-letter.ts';
import { uniqueName } from '../../support/servers.ts';
import { processEnvironment } from '../../support/services.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { ageTopic } from '../../support/topic-age.ts';
import { adminToken, createFixture } from '../console/fixture.ts';
import type { Fixture } from '../console/fixture.ts';

let fixture: Fixture;
let adminUrl: string;
beforeAll(async () => {
  fixture = await createFixture();
  await ageTopic(fixture.kafka, fixture.topics.usage, Date.now() - 3_600_000);
  adminUrl = await fixture.adminApp.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(() => fixture.dispose());

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs `tollgate` as a process. */
async function tollgate(
  args: readonly string[],
  env: Record<string, string> = {},
  cwd?: string,
): Promise<Ran> {
  const child = spawn(process.execPath, [resolve('services/cli/main.ts'), ...args], {
    env: {
      ...processEnvironment,
      ...{ TOLLGATE_ADMIN_URL: adminUrl, TOLLGATE_ADMIN_TOKEN: adminToken, TOLLGATE_ACTOR: 'kim' },
      ...env,
    },
    ...(cwd === undefined ? {} : { cwd }),
  });
  const texts = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => void (texts.out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => void (texts.err += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...texts };
}

describe('tollgate', () => {
  test('a limit is raised for a week, is shown, and is in the audit trail with its actor', async () => {
    const id = uniqueName('cli');
    const boost = await tollgate([
      'boost',
      id,
      '--create',
      '--limit',
      'minute',
      '--multiply',
      '2',
      '--for',
      '7d',
      '--reason',
      'launch',
    ]);
    expect(boost).toMatchObject({ code: 0, err: '' });
    const daysLeft =
      (Date.parse(fixture.directory.get(id)?.boosts?.[0]?.ends_at ?? '') - Date.now()) / 86_400_000;
    expect(daysLeft).toBeCloseTo(7, 2);
    expect((await tollgate(['status', id])).out).toContain('0 of 200');
    expect((await tollgate(['changes', '--tenant', id])).out).toMatch(/kim .*launch/);
    const json = JSON.parse((await tollgate(['status', id, '--json'])).out) as { limits: object[] };
    expect(json.limits[0]).toMatchObject({ name: 'minute', limit: 200 });
  });

  test('set changes the settings that it names and keeps the others; a violation names its field', async () => {
    const id = uniqueName('cli');
    const settings = ['--plan', 'pro', '--name', 'Acme', '--limits', 'minute=500,day=9'];
    const ran = await tollgate(['set', id, '--create', ...settings]);
    expect(ran).toMatchObject({ code: 0, err: '' });
    expect((await tollgate(['set', id, '--name', 'none', '--limits', 'day=none'])).code).toBe(0);
    expect(fixture.directory.get(id)).toMatchObject({
      plan: 'pro',
      overrides: { minute: 500 },
      updated_by: 'kim',
    });
    expect(fixture.directory.get(id)?.display_name).toBeUndefined();
    expect(await tollgate(['set', id, '--time-zone', 'Mars'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('time_zone: “Mars” is no IANA time zone') as string,
    });
    expect((await tollgate(['set', id])).code).toBe(2);
  });

  test('block, unblock, reset, portal-link, keys and tenants change and show a tenant', async () => {
    const id = uniqueName('cli');
    await fixture.spend(id, 50);
    expect((await tollgate(['block', id, '--create', '--for', '1h', '--reason', 'abuse'])).code).toBe(0);
    expect((await tollgate(['status', id])).out).toContain('blocked by operator');
    expect((await tollgate(['undo', id])).out).toMatch(/^Latest change, by kim, .*abuse[^]*Undid what/);
    expect((await tollgate(['undo', id])).err).toContain('is an undo itself');
    expect((await tollgate(['unblock', id])).err).toContain('not blocked');
    await tollgate(['note', id, 'moves to pro in May']);
    expect((await tollgate(['tenant', id])).out).toContain('moves to pro in May');
    expect((await tollgate(['reset', id, '--reason', 'ticket'])).code).toBe(0);
    expect((await tollgate(['status', id])).out).toContain('0 requests this minute');
    expect((await tollgate(['portal-link', id])).out).toContain('/sign-in?token=');
    const unknown = uniqueName('mistyped');
    expect((await tollgate(['keys', unknown, 'create'])).err).toContain('Add --create');
    expect((await tollgate(['keys', unknown, 'create', '--create'])).out).toMatch(/^tgk_/);
    expect((await tollgate(['keys', id, 'create'])).out).toMatch(/^tgk_/);
    const scope = ['--permissions', 'requests,usage', '--routes', 'GET /v1/**'];
    const made = (await tollgate(['keys', id, 'create', '--for', '90d', '--name', 'CI', ...scope])).out;
    expect(made).toMatch(/valid until 2.* It may do: requests \(GET \/v1\/\*\*\), usage\./);
    const listed = (await tollgate(['keys', id])).out;
    expect(listed).toMatch(/^KEY .*ENDS\n[0-9a-f]{12} +CI +requests .*\n[0-9a-f]{12} +everything .*never\n$/);
    const hash = listed.split('\n')[1]?.slice(0, 12) ?? '';
    expect((await tollgate(['keys', id, 'roll', hash, '--overlap', '1h'])).out).toMatch(/^tgk_[^]*ends at 2/);
    expect((await tollgate(['keys', id, 'roll', hash])).code).toBe(2);
    expect((await tollgate(['keys', id, 'revoke', hash])).code).toBe(0);
    expect((await tollgate(['keys', id, 'burn', hash])).code).toBe(2);
    expect((await tollgate(['keys', id])).out).not.toContain(hash);
    expect((await tollgate(['tenants', id])).out).toContain(id);
    expect((await tollgate(['tenant', id])).out).toContain('POST /agent/chat');
  });

  test('audit finds a lost event, names it and fails; without a loss it succeeds', async () => {
    const events = Array.from({ length: 9 }, (_, at) => ({
      timeMs: Date.now() - 600_000 + at,
      tenant: 'cli',
    }));
    await storeUsage(fixture.clickhouse, events);
    const clean = await tollgate(['audit', '--hours', '2']);
    expect(clean).toMatchObject({ code: 0, err: '' });
    expect(clean.out).toContain('No event is lost.\nAll totals agree with the events.');
    await fixture.clickhouse.command(
      'ALTER TABLE stored_events DELETE WHERE sequence = 3 SETTINGS mutations_sync = 2',
    );
    const lossy = await tollgate(['audit', '--hours', '2']);
    expect(lossy.code).toBe(1);
    expect(lossy.out).toContain('1 event is lost.\nTotals of 1 day does not agree.');
    expect(lossy.out).toMatch(/"test": \[\s+\{\s+"from": 3,\s+"to": 3\s/);
  });

  test('F1: a call that was never settled is listed with its state and its exact amounts', async () => {
    const tenant = uniqueName('reserving');
    const times = { timeMs: Date.now() - 900_000, reservedUntilMs: Date.now() - 300_000 };
    const reserved = { tokens: 400, usd: '0.02' };
    await storeUsage(fixture.clickhouse, [{ tenant, ...times, reserved, reservation: 'open' }]);
    const { out, code } = await tollgate(['reservations', 'list', '--tenant', tenant, '--expired']);
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`^STATE.*\\nexpired.* ${tenant} .* 400 tokens, 0\\.02 usd `));
  });

  test('dead letters are replayed in bulk: counted first, sent with --yes, with their times corrected', async () => {
    const reason = uniqueName('wrong clock');
    const value = Buffer.from(JSON.stringify({ id: reason, time: '2026-11-21T11:00:00Z' }));
    const place = { topic: fixture.topics.usage, partition: 0, offset: 77, key: 'acme' };
    await fixture.producer.send(fixture.topics.deadLetters, [
      deadLetterRecord({ reason, ...place, value, atMs: Date.now() }),
    ]);
    const select = ['dead-letters', 'replay', '--reason', reason, '--since', '1h', '--shift=-15m'];
    expect((await tollgate(select)).out).toMatch(/^1 match; nothing was sent/);
    expect((await tollgate([...select, '--yes'])).out).toMatch(/^Sent 1 of 1 again/);
    expect(await tollgate(['dead-letters', 'replay'])).toMatchObject({ code: 2 });
    expect(await tollgate([...select, '--yes', '--dry-run'])).toMatchObject({ code: 2 });
  });

  test('dead letters are listed, shown and replayed; a replay may be repeated', async () => {
    const letter = { reason: uniqueName('odd'), topic: fixture.topics.usage, partition: 0, offset: null };
    const record = deadLetterRecord({
      ...letter,
      key: 'acme',
      value: Buffer.from('{"half":'),
      atMs: Date.now(),
    });
    const [place] = await fixture.producer.send(fixture.topics.deadLetters, [record]);
    const id = `${place?.partition ?? -1}-${place?.offset ?? -1}`;
    expect((await tollgate(['dead-letters', 'list', '--limit', '5'])).out).toMatch(
      new RegExp(`^${id} .*${letter.reason}$`, 'm'),
    );
    const shown = await tollgate(['dead-letters', 'show', id]);
    expect(shown.out).toContain(letter.reason);
    expect(shown.out).toContain('{"half":');
    for (let times = 0; times < 2; times += 1) {
      expect(await tollgate(['dead-letters', 'replay', id])).toMatchObject({
        code: 0,
        out: `Sent ${id} again.\n`,
      });
    }
  });

  test('text of other sources cannot control the terminal, and JSON keeps its value', async () => {
    const evil = '\u001b]0;owned\u0007\u001b[2Jfoo\rbar\u009b31m\u202egnp.exe\nTENANT  PLAN';
    const letter = {
      reason: `${uniqueName('odd')} ${evil}`,
      topic: fixture.topics.usage,
      partition: 0,
      offset: null,
    };
    const record = deadLetterRecord({ ...letter, key: 'acme', value: Buffer.from(evil), atMs: Date.now() });
    const [place] = await fixture.producer.send(fixture.topics.deadLetters, [record]);
    const id = `${place?.partition ?? -1}-${place?.offset ?? -1}`;
    const acting = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/;
    for (const args of [['list'], ['show', id]]) {
      const { out, err, code } = await tollgate(['dead-letters', ...args]);
      expect([code, err, acting.exec(out)]).toEqual([0, '', null]);
      expect(out).toContain('\\u001b]0;owned\\u0007');
      expect(out).not.toMatch(/^TENANT {2}PLAN/m);
      const json = await tollgate(['dead-letters', ...args, '--json']);
      expect(acting.exec(json.out)).toBeNull();
      expect(JSON.stringify(JSON.parse(json.out))).toContain(JSON.stringify(evil).slice(1, -1));
    }
    expect(acting.exec((await tollgate(['dead-letters', 'show', evil])).err)).toBeNull();
  });

  test('policy check accepts the shipped policy and names the line of a violation', async () => {
    expect(await tollgate(['policy', 'check', 'policies/default.yaml'])).toMatchObject({ code: 0, err: '' });
    const folder = await mkdtemp(join(tmpdir(), 'tollgate-cli-'));
    try {
      const path = join(folder, 'bad.yaml');
      await writeFile(
        path,
        'version: 1\nlinks: { documentation: https://a.example, upgrade: https://a.example }\ndefault_plan: free\nplans:\n  free:\n    limits: [{ name: m, per: tenant, limit: -1, window: 1m }]\n',
      );
      const bad = await tollgate(['policy', 'check', path]);
      expect(bad.code).toBe(1);
      expect(bad.err).toContain('bad.yaml:6');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('without environment variables the running local stack is used, also from a folder below', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tollgate-cli-'));
    try {
      await mkdir(join(folder, '.local'));
      await mkdir(join(folder, 'below'));
      const stack = { urls: { admin: adminUrl }, admin_token: adminToken };
      await writeFile(join(folder, '.local', 'stack.json'), JSON.stringify(stack));
      const none = { TOLLGATE_ADMIN_URL: undefined, TOLLGATE_ADMIN_TOKEN: undefined } as unknown as Record<
        string,
        string
      >;
      expect((await tollgate(['tenants'], none, join(folder, 'below'))).code).toBe(0);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  const wrong: readonly [string[], number, string][] = [
    [['nonsense'], 2, 'no command “nonsense”'],
    [['boost', 'acme'], 2, 'Give either --multiply or --set'],
    [
      ['boost', 'acme', '--limit', 'minute', '--multiply', 'two', '--for', '7d', '--reason', 'x'],
      2,
      'not a number',
    ],
    [
      ['boost', 'acme', '--limit', 'minute', '--multiply', '2', '--for', 'ever', '--reason', 'x'],
      2,
      'not a duration',
    ],
    [
      ['boost', 'acme', '--create', '--limit', 'nope', '--multiply', '2', '--for', '7d', '--reason', 'x'],
      1,
      'no limit “nope”',
    ],
    [['reset', '--all'], 2, 'Add --yes'],
    [['status'], 2, 'takes 1 operands'],
    [['tenants', '--colour'], 2, '--colour'],
    [['tenant', 'no-such-tenant'], 1, 'No such tenant'],
    [['dead-letters', 'show', '7-7'], 1, 'No such dead letter'],
  ];
  test.each(wrong)('%j exits with %i and a reason', async (args, code, message) => {
    const ran = await tollgate(args);
    expect(ran).toMatchObject({ code, out: '' });
    expect(ran.err).toContain(message);
    expect(ran.err).not.toMatch(/\n {4}at /);
  });

  test('a wrong token and an absent server have different messages', async () => {
    expect((await tollgate(['tenants'], { TOLLGATE_ADMIN_TOKEN: 'wrong' })).err).toContain(
      'does not accept this token',
    );
    expect((await tollgate(['tenants'], { TOLLGATE_ADMIN_URL: 'http://127.0.0.1:9' })).err).toContain(
      'does not answer',
    );
  });

  test('every command has help, and --help exits with 0', async () => {
    const { out, code } = await tollgate(['--help']);
    expect(code).toBe(0);
    for (const name of ['policy check', 'tenants', 'reset', 'boost', 'dead-letters replay', 'audit'])
      expect(out).toContain(name);
    expect(await tollgate(['boost', '--help'])).toMatchObject({ code: 0, err: '' });
  });
});
