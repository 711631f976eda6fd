import { setTimeout as pause } from 'node:timers/promises';

/** Starts and ends an outage of a server. */
export interface Outage {
  readonly begin: () => Promise<void>;
  readonly end: () => Promise<void>;
}

interface Stoppable {
  pause(): void;
  resume(): void;
  kill(): Promise<unknown>;
  restart(): Promise<void>;
}

export type OutageKind = 'SIGSTOP' | 'SIGKILL';

/**
 * With SIGSTOP, connections stay open without replies, and calls that were sent run after SIGCONT. With SIGKILL,
 * connections are refused.
 */
export function outageOf(server: Stoppable, kind: OutageKind): Outage {
  if (kind === 'SIGKILL') {
    return {
      begin: async () => {
        await server.kill();
      },
      end: () => server.restart(),
    };
  }
  const done = Promise.resolve();
  return {
    begin: () => {
      server.pause();
      return done;
    },
    end: () => {
      server.resume();
      return done;
    },
  };
}

export interface Series {
  readonly count: number;
  readonly downMs: number;
  readonly upMs: number;
}

/** Runs outages one after the other. Resolves when the last outage is over. */
export async function runOutages({ begin, end }: Outage, { count, downMs, upMs }: Series): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await begin();
    await pause(downMs);
    await end();
    await pause(upMs);
  }
}
