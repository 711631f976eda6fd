import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createMailer } from '../../../../services/alerter/deliver/email.ts';
import { targetsOf } from '../../../../services/alerter/deliver/targets.ts';
import { alertOf } from './alert-of.ts';

const alert = alertOf('acme', { exhausted_at: '2026-03-02T12:00:00.000Z' });
const target = targetsOf({ emails: ['ops@example.com'] }, alert)[1]!;
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** The part of SMTP that a message needs. With `refuse`, the server rejects the recipient with a permanent error. */
async function smtp(refuse: boolean): Promise<{ url: string; messages: string[] }> {
  const messages: string[] = [];
  const server = createServer((socket) => {
    let [text, inData] = ['', false];
    socket.on('error', () => undefined);
    socket.write('220 test\r\n');
    socket.on('data', (chunk) => {
      text += chunk.toString();
      if (inData && text.endsWith('\r\n.\r\n')) {
        messages.push(text);
        [text, inData] = ['', false];
        socket.write('250 queued\r\n');
      }
      if (inData || !text.endsWith('\r\n')) return;
      const command = text.slice(0, 4).toUpperCase();
      text = '';
      inData = command === 'DATA';
      socket.write(
        inData ? '354 go on\r\n' : refuse && command === 'RCPT' ? '550 unknown\r\n' : '250 ok\r\n',
      );
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`, messages };
}

const sender = {
  name: 'Acme API',
  support: 'mailto:help@acme.example',
  portal: 'https://usage.acme.example',
};
const common = { from: 'alerts@acme.example', sender, timeoutMs: 20_000 };

test('an e-mail says what happened and has the id of the alert, so that mail systems drop a repetition', async () => {
  const { url, messages } = await smtp(false);
  const mailer = createMailer({ ...common, smtpUrl: url });
  expect(await mailer.send(target, alert)).toEqual({ kind: 'delivered' });
  mailer.close();
  expect(messages[0]).toContain('Subject: Acme API: acme has used 80 % of its day quota');
  expect(messages[0]).toContain('To: ops@example.com');
  expect(messages[0]).toContain(`<${alert.id}.${target.id}@tollgate>`);
  expect(messages[0]).toContain('812 of 1000 units used');
});

test.each([
  ['alerts@acme.example', 'From: Acme API <alerts@acme.example>'],
  ['Acme alerts <alerts@acme.example>', 'From: Acme alerts <alerts@acme.example>'],
])('an e-mail from %s has the brand of the provider, also a test message', async (from, header) => {
  const { url, messages } = await smtp(false);
  const mailer = createMailer({ ...common, from, smtpUrl: url });
  await mailer.send(target, { ...alert, kind: 'test' });
  mailer.close();
  const [message = ''] = messages;
  expect(message).toContain(header);
  expect(message).toContain('Subject: Acme API: Test message for acme');
  expect(message).toMatch(
    /\r\n\r\nUsage and settings: https:\/\/usage\.acme\.example\r\nSupport: help@acme\.example\r\n/,
  );
  // Readers see neither the id of the message nor header fields that begin with X.
  expect(message.replaceAll(/^(x-|message-id:)[^\n]*\n(\s+<[^\n]*\n)?/gim, '')).not.toMatch(/tollgate/i);
});

test('a recipient that does not exist is given up, a server that does not answer is retried', async () => {
  const { url } = await smtp(true);
  const refusing = createMailer({ ...common, smtpUrl: url });
  expect(await refusing.send(target, alert)).toMatchObject({ kind: 'refused' });
  const away = createMailer({ ...common, smtpUrl: 'smtp://127.0.0.1:9', timeoutMs: 500 });
  expect(await away.send(target, alert)).toMatchObject({ kind: 'failed' });
  const none = createMailer({ ...common, smtpUrl: null });
  expect(await none.send(target, alert)).toMatchObject({ kind: 'refused' });
});
