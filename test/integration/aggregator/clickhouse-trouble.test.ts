// Goal: whatever ClickHouse does, the aggregator lives, keeps its block and loses nothing.
import { expect, test } from 'vitest';
import { eventually, startClickHouse } from '../../support/servers.ts';
import { allEqual, counts, createBed } from './fixture.ts';
import { requestEvent } from './events.ts';

test('ClickHouse killed under load and back: unready meanwhile, then every event counted once', async () => {
  const server = await startClickHouse();
  const bed = await createBed(server.url);
  try {
    const aggregator = bed.start();
    const send = (count: number) =>
      bed.produce(
        Array.from({ length: count }, (_, index) => requestEvent(`tenant-${index % 5}`)).map((value) => ({
          tenant: value.subject,
          value,
        })),
      );
    await send(300);
    await eventually(async () => (await counts(bed.clickhouse)).events === 300, { timeoutMs: 20_000 });
    const loading = send(300);
    await server.kill();
    await loading;
    await send(300);
    await eventually(() => aggregator.unready().includes('clickhouse'), { timeoutMs: 20_000 });
    await server.restart();
    await eventually(
      async () => {
        const row = await counts(bed.clickhouse);
        expect(allEqual(row, 900), JSON.stringify(row)).toBe(true);
        return aggregator.unready().length === 0;
      },
      { timeoutMs: 40_000 },
    );
  } finally {
    await bed.dispose();
    await server.dispose();
  }
});
