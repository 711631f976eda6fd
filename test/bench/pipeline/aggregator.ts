// An aggregator in its own process: node aggregator.ts <brokers> <ClickHouse url> <database>. Prints `ready`, starts to consume at the
// first input, and ends with its parent.
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createLifecycle } from '../../../shared/runtime/lifecycle.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { startAggregator } from './drain.ts';

const [brokers, url, database] = process.argv.slice(2);
if (brokers === undefined || url === undefined || database === undefined) {
  throw new Error('node aggregator.ts <brokers> <ClickHouse url> <database>');
}
const logger = createLogger('bench', 'silent');
const lifecycle = createLifecycle(logger);
const kafka = createKafka({ brokers, clientId: 'bench', logger });
const clickhouse = createClickHouse({ url, database, requestTimeoutMs: 60_000 });
process.stdin.once('data', () => startAggregator({ kafka, clickhouse, groupId: database }, lifecycle));
process.stdin.once('close', () => void lifecycle.close().then(() => process.exit(0)));
process.stdout.write('ready\n');
