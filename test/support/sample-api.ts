import { join } from 'node:path';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import type { JournalEntry } from '../../dev/sample/ai/journal.ts';
import { freePort } from '../../dev/servers/free-port.ts';
import { startServerProcess } from '../../dev/servers/server-process.ts';
import { eventually } from './servers.ts';

/** The sample API in its own process. */
export interface SampleApi {
  readonly url: string;
  /** The calls whose journal entries have these values, oldest first. */
  calls(fields: Partial<Readonly<Record<keyof JournalEntry, string>>>): Promise<readonly JournalEntry[]>;
  /** The only call of a model, once it has ended. */
  endedCall(model: string): Promise<JournalEntry>;
  stop(): Promise<void>;
}

export async function startSampleApi(): Promise<SampleApi> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-sample-'));
  const server = await startServerProcess({
    name: 'sample API',
    command: process.execPath,
    args: ['dev/sample/upstream.ts'],
    env: { ...process.env, PORT: String(port), HOST: '127.0.0.1' },
    dir,
    workingDir: join(import.meta.dirname, '..', '..'),
    logFile: join(dir, 'log'),
    ready: async () => (await fetch(`${url}/health`)).ok,
    readyTimeoutMs: 60_000,
  });
  const calls: SampleApi['calls'] = async (fields) => {
    const response = await fetch(`${url}/sample/journal?${new URLSearchParams(fields).toString()}`);
    const { calls: found } = (await response.json()) as { readonly calls: readonly JournalEntry[] };
    return found;
  };
  return {
    url,
    calls,
    endedCall: (model) =>
      eventually(async () => {
        const [call, ...others] = await calls({ model });
        if (others.length > 0) throw new Error(`${model} was called ${others.length + 1} times`);
        return call?.outcome === 'open' ? null : call;
      }),
    stop: async () => {
      await server.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
