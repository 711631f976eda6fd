// Goal: dead letters are replayed in bulk, selected by reason, tenant and time, after a dry run, with corrected times where a
// clock was wrong.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deadLetterRecord } from '../../../shared/domain/topics/dead-letter.ts';
import type { NewDeadLetter } from '../../../shared/domain/topics/dead-letter.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import { readRange } from '../../../shared/kafka/kafkajs/read-range.ts';
import { readTopicEnds } from '../../../shared/kafka/offsets/topic-offsets.ts';
import { uniqueName } from '../../support/servers.ts';
import { createFixture } from '../console/fixture.ts';
import type { Fixture } from '../console/fixture.ts';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await createFixture();
});
afterAll(() => fixture.dispose());

let offset = 0;

async function file(...letters: readonly Partial<NewDeadLetter>[]): Promise<void> {
  await fixture.producer.send(
    fixture.topics.deadLetters,
    letters.map((letter) =>
      deadLetterRecord({
        reason: 'unknown',
        topic: fixture.topics.usage,
        partition: 0,
        offset: (offset += 1),
        key: 'acme',
        value: Buffer.from('{}'),
        atMs: Date.now(),
        ...letter,
      }),
    ),
  );
}

async function usage(): Promise<ConsumedMessage[]> {
  const ends = await readTopicEnds(fixture.kafka, fixture.topics.usage);
  const messages: ConsumedMessage[] = [];
  const ranges = ends.map(({ partition, low, high }) => ({ partition, from: low, to: high }));
  await readRange(fixture.kafka, fixture.topics.usage, ranges, (message) => messages.push(message));
  return messages;
}

const replay = (body: object) => fixture.admin('POST /admin/v1/dead-letters/replay', body);

test('only selected letters are sent, each record once, and nothing unless dry_run is false', async () => {
  const reason = uniqueName('time is in the future');
  const tenant = uniqueName('acme');
  const value = (id: string) => Buffer.from(JSON.stringify({ id, subject: tenant }));
  await file(
    { reason, value: value('one') },
    { reason: 'another', value: value('two') },
    { reason, value: value('old'), atMs: Date.now() - 7_200_000 },
    { reason, value: Buffer.from('{"subject":"globex"}') },
    { reason, value: Buffer.alloc(1_000_000), tenantId: tenant },
    { reason, value: value('batch'), holds: 'batch', tenantId: tenant },
    // Two dead letters of one record, as after a batch of events that was processed twice.
    { reason, value: value('twice'), offset: 900_000 },
    { reason, value: value('twice'), offset: 900_000 },
  );
  const since = new Date(Date.now() - 3_600_000).toISOString();
  const selection = { reason: reason.toUpperCase(), tenant_id: tenant, since };
  const before = (await usage()).length;
  const counted = await replay(selection);
  expect(counted.body).toEqual({
    dry_run: true,
    matched: 4,
    sent: 0,
    incomplete: 2,
    without_time: 0,
    more: false,
    by_reason: { [reason]: 4 },
  });
  expect((await usage()).length).toBe(before);
  for (const times of [1, 2]) {
    expect((await replay({ ...selection, dry_run: false })).body).toMatchObject({ dry_run: false, sent: 2 });
    expect((await usage()).length).toBe(before + 2 * times);
  }
});

test('the times of events are corrected in both forms of CloudEvents; letters without a time are counted and not sent', async () => {
  const reason = uniqueName('wrong clock');
  const time = '2026-11-21T11:00:00.000Z';
  await file(
    { reason, value: Buffer.from(JSON.stringify({ id: 'json', time, data: { units: 1 } })) },
    { reason, value: Buffer.from('{"units":1}'), headers: { ce_id: 'binary', ce_time: time } },
    { reason, value: Buffer.from('no event') },
  );
  const answer = await replay({ reason, shift: '-15m', dry_run: false });
  expect(answer.body).toMatchObject({ matched: 3, sent: 2, without_time: 1 });
  const sent = (await usage()).slice(-2);
  const corrected = '2026-11-21T10:45:00.000Z';
  const json = sent.find(({ headers }) => headers['ce_id'] === undefined);
  expect(JSON.parse(json?.value?.toString() ?? '')).toEqual({
    id: 'json',
    time: corrected,
    data: { units: 1 },
  });
  expect(sent.find(({ headers }) => headers['ce_id'] === 'binary')?.headers).toMatchObject({
    ce_time: corrected,
    'tollgate-replay': expect.stringMatching(/^\d+-\d+$/) as string,
  });
});

test.each([
  ['no selection', {}, 400],
  ['a field that is none', { reason: 'x', all: true }, 400],
  ['a time that is none', { since: 'yesterday' }, 422],
  ['a shift that is none', { reason: 'x', shift: '15 minutes' }, 400],
])('%s is refused', async (_, body, status) => {
  expect((await replay(body)).status).toBe(status);
});

test('a letter with the topic of another installation is not sent and does not stop the other letters', async () => {
  const reason = uniqueName('forged');
  const foreign = { reason, topic: uniqueName('topic-of-another-installation') };
  await file(
    foreign,
    { reason, topic: 'no topic!' },
    { reason, topic: fixture.topics.deadLetters },
    { reason },
  );
  const sent = await replay({ reason, dry_run: false });
  expect(sent).toMatchObject({ status: 200, body: { matched: 4, sent: 1, incomplete: 3 } });
  const { body } = await fixture.admin('GET /admin/v1/dead-letters');
  const letters = body['dead_letters'] as readonly { readonly id: string; readonly from: string }[];
  const forged = letters.find(({ from }) => from.startsWith(foreign.topic));
  expect((await fixture.admin(`POST /admin/v1/dead-letters/${forged?.id ?? ''}/replay`)).status).toBe(409);
});
