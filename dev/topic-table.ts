import { topicDescriptions } from '../shared/kafka/schemas/topic-schemas.ts';
import { topicsWith } from '../shared/kafka/topics.ts';
import type { Topics } from '../shared/kafka/topics.ts';

/** Markdown table of all topics. A unit test compares it with the table in docs/kafka.md. */
export function topicTable(): string {
  const topics = topicsWith('tollgate.');
  const names = Object.keys(topicDescriptions) as (keyof Topics)[];
  return [
    '| topic | key | cleanup | written by | read by | secrets | messages |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...names.map((name) => {
      const { key, cleanup, writtenBy, readBy, secrets = 'none', messages } = topicDescriptions[name];
      const schemas = messages.map((message) => `\`${message.name}\``).join(', ');
      return `| \`${topics[name]}\` | ${key} | ${cleanup} | ${writtenBy} | ${readBy} | ${secrets} | ${schemas} |`;
    }),
  ].join('\n');
}

/** `node dev/topic-table.ts` prints the table. */
if (import.meta.main) process.stdout.write(`${topicTable()}\n`);
