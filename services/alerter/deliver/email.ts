import { createTransport } from 'nodemailer';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import { messageOf } from '../../../shared/runtime/errors.ts';
import type { AttemptOutcome } from './delivery.ts';
import type { Target } from '../../../shared/tenants/notification-targets.ts';
import { mailSender, sentWording } from './sender.ts';
import type { Sender } from './sender.ts';

export interface Mailer {
  send(target: Target, alert: AlertEvent): Promise<AttemptOutcome>;
  close(): void;
}

export interface MailerOptions {
  /** `smtp://user:password@host:587`; null if no mail server is configured. */
  readonly smtpUrl: string | null;
  /** `Name <address>`, or an address, which gets the name of the sender. */
  readonly from: string;
  readonly sender: Sender;
  readonly timeoutMs: number;
}

/**
 * Sends e-mail through one SMTP server. Without a server, every message is refused, and the delivery log states the
 * reason.
 */
export function createMailer({ smtpUrl, from, sender, timeoutMs }: MailerOptions): Mailer {
  if (smtpUrl === null) {
    return {
      send: () => Promise.resolve({ kind: 'refused', error: 'no SMTP server is configured (SMTP_URL)' }),
      close: () => undefined,
    };
  }
  const transport = createTransport({
    url: smtpUrl,
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return { send, close: () => transport.close() };

  async function send(target: Target, alert: AlertEvent): Promise<AttemptOutcome> {
    const { title, lines, footer } = sentWording(alert, sender);
    try {
      await transport.sendMail({
        from: mailSender(from, sender),
        to: target.address,
        subject: title,
        text: [title, '', ...lines, '', ...footer].join('\n').trimEnd(),
        // Every attempt has the same message id: mail systems drop a message with an id that they have already
        // received.
        messageId: `<${alert.id}.${target.id}@tollgate>`,
        headers: { 'auto-submitted': 'auto-generated', 'x-tollgate-alert': alert.kind },
      });
      return { kind: 'delivered' };
    } catch (error) {
      const permanent =
        error instanceof Error && 'responseCode' in error && Number(error.responseCode) >= 500;
      return { kind: permanent ? 'refused' : 'failed', error: `SMTP: ${messageOf(error).slice(0, 300)}` };
    }
  }
}
