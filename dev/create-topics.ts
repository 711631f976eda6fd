import { parseArgs } from 'node:util';
import { ensureTopics } from '../shared/kafka/ensure-topics.ts';
import { createKafka } from '../shared/kafka/kafka.ts';
import { topicsWith } from '../shared/kafka/topics.ts';
import { createLogger } from '../shared/runtime/logger.ts';

/**
 * Creates Tollgate's topics where they are missing, once before the services of an installation first run:
 * `KAFKA_BROKERS=… node dev/create-topics.ts --partitions 12 --replication-factor 3`. Safe to repeat.
 */
const { values } = parseArgs({
  options: {
    partitions: { type: 'string', default: '12' },
    'replication-factor': { type: 'string', default: '1' },
  },
});
const kafka = createKafka({
  brokers: process.env['KAFKA_BROKERS'] ?? '127.0.0.1:9092',
  clientId: 'tollgate-topics',
  logger: createLogger('topics', process.env['LOG_LEVEL'] ?? 'warn'),
});
const topics = topicsWith(process.env['TOLLGATE_TOPIC_PREFIX'] ?? 'tollgate.');
await ensureTopics(kafka, topics, {
  partitions: Number(values.partitions),
  replicationFactor: Number(values['replication-factor']),
});
console.log(`topics are there: ${Object.values(topics).join(', ')}`);
