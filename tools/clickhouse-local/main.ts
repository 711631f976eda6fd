import { openEngine } from './engine.ts';
import { createClickHouseHttp } from './http-server.ts';
import { createSessions } from './sessions.ts';

/**
 * The local ClickHouse server: `PORT`, `HOST`, `CLICKHOUSE_DIR` and `CLICKHOUSE_CONFIG` from the environment.
 * `UV_THREADPOOL_SIZE` must be set at the start: as many queries run at once as libuv has threads.
 */
const dir = process.env['CLICKHOUSE_DIR'];
if (dir === undefined) throw new Error('CLICKHOUSE_DIR names the data folder');
const engine = openEngine(dir, process.env['CLICKHOUSE_CONFIG'] ?? null);
const session = engine.open();
const { body } = await session.run('SELECT version()', 'TabSeparatedRaw');
session.close();

const megabyte = 1024 * 1024;
const server = createClickHouseHttp({
  engine,
  sessions: createSessions(engine),
  version: body.toString().trim(),
  bounds: { bodyBytesMax: 512 * megabyte, pieceBytes: 64 * megabyte },
});
server.listen(Number(process.env['PORT'] ?? 8123), process.env['HOST'] ?? '127.0.0.1');
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, stop);

/** Lets running queries end, for a bounded time, then goes at once: the engine's data survives that by design. */
function stop(): void {
  const leave = (): void => void process.kill(process.pid, 'SIGKILL');
  setTimeout(leave, 5_000);
  server.close(leave);
  server.closeIdleConnections();
}
