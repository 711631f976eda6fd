import { createClickHouseHttp } from './http-server.ts';
import { openEngine } from './engine.ts';

/**
 * The local ClickHouse server: `PORT`, `HOST` and `CLICKHOUSE_DIR` from the environment.
 * Whoever starts it sets `UV_THREADPOOL_SIZE`: as many queries run at once as libuv has threads.
 */
const dir = process.env['CLICKHOUSE_DIR'];
if (dir === undefined) throw new Error('CLICKHOUSE_DIR names the data folder');
const engine = openEngine(dir);
const session = engine.open();
const { body } = await session.run('SELECT version()', 'TabSeparatedRaw');
session.close();

const server = createClickHouseHttp({
  engine,
  version: body.toString().trim(),
  bodyBytesMax: 512 * 1024 * 1024,
});
server.listen(Number(process.env['PORT'] ?? 8123), process.env['HOST'] ?? '127.0.0.1');
let stopping = false;
for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => stop());

/** Lets running queries end, for a bounded time; the folder survives a kill as well. */
function stop(): void {
  if (stopping) return;
  stopping = true;
  setTimeout(() => process.exit(0), 5_000).unref();
  server.close(() => process.exit(0));
  server.closeIdleConnections();
}
