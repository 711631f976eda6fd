import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { kafkaCluster } from '../../../shared/kafka/environment.ts';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import type { Command, Invocation } from '../command.ts';
import { UsageError, optional } from '../command.ts';

const partitionsDefault = 12;
const replicationFactorDefault = 3;

/**
 * The only command that connects to Kafka. Operators run it before the services of a new installation first start.
 */
export const topicsCommand: Command = {
  name: 'topics create',
  synopsis: '[--partitions N] [--replication-factor N]',
  summary: 'Create the Kafka topics that are missing. Needs KAFKA_BROKERS. Safe to repeat.',
  operands: [0, 0],
  flags: {
    partitions: {
      type: 'string',
      help: `Partitions of the topics that carry many events; default ${partitionsDefault}. Existing topics stay as they are.`,
    },
    'replication-factor': {
      type: 'string',
      help: `Replicas of each partition, at most the number of brokers; default ${replicationFactorDefault}.`,
    },
  },
  example: 'topics create --partitions 24',
  async run(invocation) {
    const partitions = count(invocation, 'partitions', partitionsDefault);
    const replicationFactor = count(invocation, 'replication-factor', replicationFactorDefault);
    const config = invocation.kafka();
    const kafka = createKafka({
      ...kafkaCluster(config),
      clientId: 'tollgate-topics',
      // Standard output is reserved for the report. A failure is thrown, and the caller prints it.
      logger: createLogger('topics', 'silent'),
    });
    const topics = topicsWith(config.TOLLGATE_TOPIC_PREFIX);
    const created = await ensureTopics(kafka, topics, { partitions, replicationFactor });
    const existing = Object.values<string>({ ...topics }).filter((name) => !created.includes(name));
    return {
      data: { created, existing },
      text: [
        ...created.map((name) => `created  ${name}`),
        ...existing.map((name) => `existed  ${name}`),
      ].join('\n'),
    };
  },
};

function count(invocation: Invocation, flag: string, byDefault: number): number {
  const text = optional(invocation, flag);
  if (text === undefined) return byDefault;
  if (!/^[1-9][0-9]{0,3}$/.test(text))
    throw new UsageError(`--${flag} is a whole number from 1 to 9999, not “${text}”.`);
  return Number(text);
}
