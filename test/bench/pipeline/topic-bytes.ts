import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Kafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { readTopicEnds } from '../../../shared/kafka/offsets/topic-offsets.ts';

/** Returns the bytes of a record on the disk of one replica: the size of the topic's log, divided by its records. */
export async function bytesOfTopic(kafka: Kafka, topic: string, kafkaDir: string): Promise<number> {
  const files = (await readdir(kafkaDir, { recursive: true })).filter(
    (path) => path.endsWith('.log') && dirname(path).split('/').at(-1)?.startsWith(`${topic}-`) === true,
  );
  const sizes = await Promise.all(files.map(async (path) => (await stat(join(kafkaDir, path))).size));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const ends = await readTopicEnds(kafka, topic);
  return bytes / ends.reduce((sum, { low, high }) => sum + high - low, 0);
}
