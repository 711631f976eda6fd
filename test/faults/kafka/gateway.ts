import { pino } from 'pino';
import { Registry } from 'prom-client';
import { startPublisher } from '../../../services/gateway/metering/publish.ts';
import { openSpool } from '../../../services/gateway/spool/spool.ts';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { eventOf } from '../../unit/spool/folder.ts';

/**
 * The event path of a gateway, as a process that a test can kill. It prints the sequence number of each event whose
 * response a gateway would now send, except while the disk does not respond: a kill loses these events, as documented.
 */
const [brokers = '', topicPrefix = '', directory = ''] = process.argv.slice(2);
const logger = pino({ level: 'silent' });
const registry = new Registry();
const clock = { now: () => Date.now() };
const kafka = createKafka({ brokers, clientId: 'gateway', logger, requestTimeoutMs: 2_000 });
const spool = await openSpool({ directory, clock, registry, logger, segmentBytes: 100_000 });
startPublisher({ kafka, topics: topicsWith(topicPrefix), spool, clock, registry, logger });

setInterval(() => {
  const sequences = Array.from({ length: 10 }, (_, index) =>
    spool.append(eventOf(`tenant-${index}`, 'x'.repeat(200))),
  );
  void spool.flushed().then(() => {
    if (spool.diskFailure() === null) process.stdout.write(`${sequences.join(' ')}\n`);
  });
}, 5);
