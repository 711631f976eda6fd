// Goal: after every failure of ClickHouse the aggregator keeps running, retries its batch of events and loses no event.
import { expect, test } from 'vitest';
import { eventually, startClickHouse } from '../../support/servers.ts';
import { allEqual, counts, createFixture } from './fixture.ts';
import { requestEvent } from './events.ts';

test('ClickHouse killed under load and started again: not ready meanwhile, then every event is counted once', async () => {
  const server = await startClickHouse();
  const fixture = await createFixture(server.url);
  try {
    const aggregator = fixture.start();
    const send = (count: number) =>
      fixture.produce(
        Array.from({ length: count }, (_, index) => requestEvent(`tenant-${index % 5}`)).map((value) => ({
          tenant: value.subject,
          value,
        })),
      );
    await send(300);
    await eventually(async () => (await counts(fixture.clickhouse)).events === 300);
    const loading = send(300);
    await server.kill();
    await loading;
    await send(300);
    await eventually(() => aggregator.unready().includes('clickhouse'));
    await server.restart();
    await eventually(
      async () => {
        const row = await counts(fixture.clickhouse);
        expect(allEqual(row, 900), JSON.stringify(row)).toBe(true);
        return aggregator.unready().length === 0;
      },
      { timeoutMs: 40_000 },
    );
  } finally {
    await fixture.dispose();
    await server.dispose();
  }
});
