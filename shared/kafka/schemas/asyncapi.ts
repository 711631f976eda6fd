import { deadLetterHeaders } from '../../domain/topics/dead-letter.ts';
import { resentHeader } from '../../domain/topics/resent-record.ts';
import type { JsonSchema } from '../../domain/topics/shape.ts';
import { versionHeader } from '../../domain/topics/tenant-record.ts';
import type { Topics } from '../topics.ts';
import { topicDescriptions } from './topic-schemas.ts';
import type { MessageDescription, TopicDescription } from './topic-schemas.ts';

export const asyncApiVersion = '3.0.0';
const draft = 'https://json-schema.org/draft/2020-12/schema';

/** The AsyncAPI document of the topics of one installation. */
export function asyncApiDocument(topics: Topics): JsonSchema {
  const names = Object.keys(topicDescriptions) as (keyof Topics)[];
  return {
    asyncapi: asyncApiVersion,
    info: {
      title: 'Tollgate topics',
      version: '1',
      description: 'Topics of Tollgate in Kafka. docs/kafka.md describes partitioning, bounds and secrets.',
    },
    defaultContentType: 'application/json',
    channels: Object.fromEntries(
      names.map((name) => [name, channelOf(name, topics[name], topicDescriptions[name])]),
    ),
    operations: {
      publishUsage: {
        action: 'send',
        channel: { $ref: '#/channels/usage' },
        summary: 'Publish usage that an API server measured.',
        messages: ['meter', 'refund', 'amend', 'void'].map((name) => ({
          $ref: `#/channels/usage/messages/${name}`,
        })),
      },
      ...Object.fromEntries(
        names.map((name) => [
          `receive${name[0]?.toUpperCase() ?? ''}${name.slice(1)}`,
          { action: 'receive', channel: { $ref: `#/channels/${name}` } },
        ]),
      ),
    },
  };
}

/** Schemas of the values of each topic as documents of their own, by the name of the message. */
export function messageSchemas(): Readonly<Record<string, JsonSchema>> {
  const messages = Object.values(topicDescriptions).flatMap((topic) => topic.messages);
  return Object.fromEntries(
    messages.map(({ name, title, value }) => [name, { $schema: draft, title, ...value }]),
  );
}

function channelOf(name: keyof Topics, address: string, topic: TopicDescription): JsonSchema {
  const { summary, key, cleanup, secrets = 'none', writtenBy, readBy, messages } = topic;
  return {
    address,
    summary,
    description: `Key: ${key}. Written by: ${writtenBy}. Read by: ${readBy}. Secrets: ${secrets}.`,
    messages: Object.fromEntries(messages.map((message) => [message.name, messageOf(name, key, message)])),
    bindings: { kafka: { topic: address, topicConfiguration: { 'cleanup.policy': cleanup.split(',') } } },
  };
}

function messageOf(
  topic: keyof Topics,
  key: string,
  { name, title, contentType, value }: MessageDescription,
): JsonSchema {
  const headers = headersOf(topic);
  return {
    name,
    title,
    contentType,
    ...(headers === null ? {} : { headers }),
    payload: { schemaFormat: 'application/schema+json;version=draft-07', schema: value },
    bindings: { kafka: { key: { type: 'string', description: key } } },
  };
}

function headersOf(topic: keyof Topics): JsonSchema | null {
  if (topic === 'tenants')
    return {
      type: 'object',
      properties: { [versionHeader]: { type: 'string', description: 'Version of a tombstone.' } },
    };
  if (topic === 'usage')
    return {
      type: 'object',
      properties: {
        [resentHeader]: { type: 'string', description: 'Kafka may have an earlier copy of the record.' },
      },
    };
  if (topic !== 'deadLetters') return null;
  return {
    type: 'object',
    properties: Object.fromEntries(deadLetterHeaders.map((name) => [name, { type: 'string' }])),
  };
}
