import { parseArgs } from 'node:util';
import { Type } from 'typebox';
import { ensureTopics } from '../shared/kafka/ensure-topics.ts';
import { kafkaCluster, kafkaVariables } from '../shared/kafka/environment.ts';
import { createKafka } from '../shared/kafka/kafkajs/kafka.ts';
import { topicsWith } from '../shared/kafka/topics.ts';
import { readConfig } from '../shared/runtime/config.ts';
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
const config = readConfig(Type.Object(kafkaVariables), process.env);
const kafka = createKafka({
  ...kafkaCluster(config),
  clientId: 'tollgate-topics',
  logger: createLogger('topics', process.env['LOG_LEVEL'] ?? 'warn'),
});
const topics = topicsWith(process.env['TOLLGATE_TOPIC_PREFIX'] ?? 'tollgate.');
await ensureTopics(kafka, topics, {
  partitions: Number(values.partitions),
  replicationFactor: Number(values['replication-factor']),
});
console.log(`topics are there: ${Object.values(topics).join(', ')}`);
