import { openEngine } from './engine.ts';
import { createClickHouseHttp } from './http-server.ts';
import { createSessions } from './sessions.ts';

/**
 * The local ClickHouse server. Environment variables: `PORT`, `HOST`, `CLICKHOUSE_DIR` and `CLICKHOUSE_CONFIG`. The
 * process that starts it also sets `UV_THREADPOOL_SIZE`, the number of queries that run at once.
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

/** Waits at most five seconds for running queries, then kills the process: the engine's data survives a kill. */
function stop(): void {
  const leave = (): void => void process.kill(process.pid, 'SIGKILL');
  setTimeout(leave, 5_000);
  server.close(leave);
  server.closeIdleConnections();
}
