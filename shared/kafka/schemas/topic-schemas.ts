import { cloudEventSchema, eventSchemas } from '../../domain/events/event-schema.ts';
import { alertShape } from '../../domain/topics/alert.ts';
import { auditEntryShape } from '../../domain/topics/audit-entry.ts';
import { deliveryShape } from '../../domain/topics/delivery.ts';
import { endOfAllShape, endOfOneShape, endOfOthersShape } from '../../domain/topics/session-end.ts';
import { sessionEntryShape } from '../../domain/topics/session-entry.ts';
import { schemaOf } from '../../domain/topics/shape.ts';
import type { JsonSchema } from '../../domain/topics/shape.ts';
import { totalsShape } from '../../domain/topics/totals.ts';
import { tenantRecordSchema } from '../../tenants/record/schema.ts';
import type { Topics } from '../topics.ts';

export interface MessageDescription {
  readonly name: string;
  readonly title: string;
  readonly contentType: string;
  /** Schema of the value. */
  readonly value: JsonSchema;
}

export interface TopicDescription {
  readonly summary: string;
  readonly key: string;
  readonly cleanup: 'delete' | 'compact' | 'compact,delete';
  /** Secrets in the values; absent: none. */
  readonly secrets?: string;
  readonly writtenBy: string;
  readonly readBy: string;
  readonly messages: readonly MessageDescription[];
}

const json = 'application/json';
const cloudEvents = 'application/cloudevents+json';

/** What each topic contains. The schemas are those by which the services read the values. */
export const topicDescriptions: Readonly<Record<keyof Topics, TopicDescription>> = {
  usage: {
    summary: 'Decisions of gateways, and usage that API servers measured.',
    key: 'tenant_id',
    cleanup: 'delete',
    secrets: 'none, but client addresses and user ids of requests (personal data)',
    writtenBy: 'gateways, external producers',
    readBy: 'aggregator',
    messages: Object.entries(eventSchemas).map(([name, schema]) => ({
      name,
      title: schema.title,
      contentType: cloudEvents,
      value: cloudEventSchema(schema),
    })),
  },
  totals: {
    summary: "A tenant's totals of the day and of the month, as ClickHouse has them.",
    key: 'tenant_id',
    cleanup: 'compact',
    writtenBy: 'aggregator',
    readBy: 'reconciler, alerter',
    messages: [
      { name: 'totals', title: 'Totals of a tenant', contentType: json, value: schemaOf(totalsShape) },
    ],
  },
  tenants: {
    summary: "A tenant's record: plan, overrides, boosts, block, API keys, notification settings.",
    key: 'tenant_id',
    cleanup: 'compact',
    secrets:
      'secrets of webhooks and addresses of Slack webhooks in plain text; API keys as SHA-256 hashes. Only Tollgate and operators may read this topic',
    writtenBy: 'admin, console',
    readBy: 'all services',
    messages: [
      {
        name: 'tenant',
        title: 'Record of a tenant',
        contentType: json,
        value: tenantRecordSchema as unknown as JsonSchema,
      },
    ],
  },
  alerts: {
    summary: 'Thresholds of quotas that tenants crossed, forecasts, recoveries and test messages.',
    key: 'tenant_id',
    cleanup: 'delete',
    writtenBy: 'alerter, console, admin',
    readBy: 'alerter',
    messages: [{ name: 'alert', title: 'Alert', contentType: json, value: schemaOf(alertShape) }],
  },
  deliveries: {
    summary: 'State of the delivery of each alert to each target.',
    key: 'id of the alert, a slash, id of the target',
    cleanup: 'compact,delete',
    writtenBy: 'alerter',
    readBy: 'alerter',
    messages: [{ name: 'delivery', title: 'Delivery', contentType: json, value: schemaOf(deliveryShape) }],
  },
  sessionEnds: {
    summary: 'Portal links and console sessions that ended before their expiry.',
    key: '`id` and the id, or `all` or `others` and the owner',
    cleanup: 'compact,delete',
    writtenBy: 'admin, console',
    readBy: 'admin, console',
    messages: [
      {
        name: 'sessionEnd',
        title: 'End of a session, or of all or all other sessions of an owner',
        contentType: json,
        value: { anyOf: [schemaOf(endOfOneShape), schemaOf(endOfAllShape), schemaOf(endOfOthersShape)] },
      },
    ],
  },
  sessions: {
    summary:
      'Sessions of the portal and of the operator console, and portal links, for the lists of sessions.',
    key: 'id of the session or link',
    cleanup: 'compact,delete',
    secrets:
      'none that opens a session, but networks, browsers and user ids of sign-ins (personal data), and API keys as SHA-256 hashes',
    writtenBy: 'admin, console',
    readBy: 'admin, console',
    messages: [
      {
        name: 'session',
        title: 'Session or portal link',
        contentType: json,
        value: schemaOf(sessionEntryShape),
      },
    ],
  },
  audit: {
    summary: 'Audit trail: sign-ins, links, session ends and other actions that change no tenant record.',
    key: 'tenant_id; none for actions on no single tenant',
    cleanup: 'delete',
    writtenBy: 'admin, console',
    readBy: 'aggregator',
    messages: [
      {
        name: 'auditEntry',
        title: 'Entry of the audit trail',
        contentType: json,
        value: schemaOf(auditEntryShape),
      },
    ],
  },
  clock: {
    summary: 'Empty records, whose timestamp the broker sets. Services compare their clocks with it.',
    key: 'none',
    cleanup: 'delete',
    writtenBy: 'all services',
    readBy: 'none',
    messages: [{ name: 'tick', title: 'Empty record', contentType: json, value: { type: 'null' } }],
  },
  deadLetters: {
    summary:
      'Records that could not be read, processed or sent. Headers with the prefix `tollgate-` describe them.',
    key: 'that of the original record',
    cleanup: 'delete',
    secrets: 'the secrets of the original record',
    writtenBy: 'all services',
    readBy: 'admin, console',
    messages: [
      {
        name: 'deadLetter',
        title: 'Bytes of the original record',
        contentType: 'application/octet-stream',
        value: { description: 'The original bytes; only their beginning if they were too large.' },
      },
    ],
  },
};
