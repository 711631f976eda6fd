import { describe, expect, test } from 'vitest';
import type { Post } from '../../../../services/alerter/deliver/post.ts';
import { postSlack } from '../../../../services/alerter/deliver/slack.ts';
import { targetsOf } from '../../../../services/alerter/deliver/targets.ts';
import { postWebhook } from '../../../../services/alerter/deliver/webhook.ts';
import { wordingOf } from '../../../../services/alerter/deliver/wording.ts';
import type { AlertKind } from '../../../../shared/domain/topics/alert.ts';
import { alertOf } from './alert-of.ts';

const clock = { now: () => 1_000 };
const sender = {
  name: 'Acme <API>',
  support: 'https://help.acme.example',
  portal: 'https://usage.acme.example',
};

function recordingPost(): { post: Post; bodies: string[] } {
  const bodies: string[] = [];
  const post: Post = (_address, _headers, body) => {
    bodies.push(body);
    return Promise.resolve({ kind: 'delivered' });
  };
  return { post, bodies };
}

test('markup in a tenant id is escaped in a Slack message', async () => {
  const alert = alertOf('<!channel> & co');
  const [, slack] = targetsOf({ slack: ['https://hooks.slack.com/services/T/B/x'] }, alert);
  const { post, bodies } = recordingPost();
  await postSlack(post, sender, slack!, alert);
  expect(JSON.parse(bodies[0] ?? '')).toMatchObject({
    text: expect.stringContaining('&lt;!channel&gt; &amp; co') as string,
  });
});

test('a webhook without a secret is refused: no message is sent unsigned', async () => {
  const alert = alertOf('acme');
  const [, webhook] = targetsOf({ webhooks: [{ url: 'https://example.com/', secrets: [] }] }, alert);
  const { post, bodies } = recordingPost();
  expect(await postWebhook({ post, clock, sender }, webhook!, alert)).toMatchObject({ kind: 'refused' });
  expect(bodies).toEqual([]);
});

test('a message has the brand of the provider: in Slack its name, portal and support, in a webhook as fields', async () => {
  const alert = alertOf('acme');
  const settings = {
    webhooks: [{ url: 'https://example.com/', secrets: ['whsec_AAAA'] }],
    slack: ['https://hooks.slack.com/services/T/B/x'],
  };
  const [, webhook, slack] = targetsOf(settings, alert);
  const { post, bodies } = recordingPost();
  await postSlack(post, sender, slack!, alert);
  await postWebhook({ post, clock, sender }, webhook!, alert);
  await postWebhook({ post, clock, sender: { name: 'Acme', support: null, portal: null } }, webhook!, alert);
  const [message, ...hooks] = bodies.map((body) => JSON.parse(body) as { text?: string; sender?: object });
  const lines = message?.text?.split('\n') ?? [];
  expect(lines[0]).toBe('*Acme &lt;API&gt;: acme has used 80 % of its day quota*');
  expect(lines.slice(-2)).toEqual([
    'Usage and settings: https://usage.acme.example',
    'Support: https://help.acme.example',
  ]);
  expect(hooks.map((hook) => hook.sender)).toEqual([
    {
      name: 'Acme <API>',
      portal_url: 'https://usage.acme.example',
      support_url: 'https://help.acme.example',
    },
    { name: 'Acme' },
  ]);
});

describe('targets', () => {
  const settings = {
    webhooks: [{ url: 'https://example.com/hook?key=secret', secrets: ['whsec_AAAA'] }],
    slack: ['https://hooks.slack.com/services/T/B/one', 'https://hooks.slack.com/services/T/B/two'],
    emails: ['ops@example.com', 'ops@example.com'],
  };

  test('are listed once each, the log first', () => {
    const channels = targetsOf(settings, alertOf('acme')).map(({ channel }) => channel);
    expect(channels).toEqual(['log', 'webhook', 'slack', 'slack', 'email']);
    expect(targetsOf(undefined, alertOf('acme')).map(({ channel }) => channel)).toEqual(['log']);
  });

  test('are shown distinguishable and without credentials', () => {
    const shown = targetsOf(settings, alertOf('acme')).map((target) => target.shown);
    expect(new Set(shown).size).toBe(shown.length);
    expect(shown.join(' ')).not.toMatch(/secret|services|whsec/);
  });

  test('of a test message can be a single one', () => {
    const test = alertOf('acme', { kind: 'test', only_target: 'ops@example.com' });
    expect(targetsOf(settings, test).map(({ address }) => address)).toEqual(['ops@example.com']);
  });
});

test.each<[AlertKind, string]>([
  ['threshold', 'acme has used 80 % of its day quota'],
  ['exceeded', 'acme has used up its day quota'],
  ['forecast', 'acme will use up its day quota before it starts anew'],
  ['recovered', 'acme has room in its day quota again'],
  ['rejections', '81.2 % of the requests of acme were refused in the last minute'],
  ['test', 'Test message for acme'],
])('%s is worded for people', (kind, title) => {
  const threshold = kind === 'exceeded' ? 1 : 0.8;
  expect(wordingOf(alertOf('acme', { kind, threshold })).title).toBe(title);
});
