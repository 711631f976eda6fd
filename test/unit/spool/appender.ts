import { eventOf, openIn } from './folder.ts';

/** Appends until it is killed, and prints each sequence number that is durable. */
const { spool } = await openIn(process.argv[2]!, { segmentBytes: 100_000 });
for (;;) {
  for (let index = 0; index < 10; index += 1) spool.append(eventOf('acme', 'x'.repeat(200)));
  const last = spool.append(eventOf('acme', 'last of the iteration'));
  await spool.flushed();
  process.stdout.write(`${last}\n`);
}
