import type { Engine, EngineSession } from './engine.ts';
import { protocolError } from './exceptions.ts';

interface Named {
  readonly session: EngineSession;
  busy: boolean;
  expiry: NodeJS.Timeout | null;
}

export interface Sessions {
  /**
   * Returns the session with this id, which is kept for `timeoutMs` after its last use. With null: a session for this
   * request only.
   */
  acquire(
    id: string | null,
    timeoutMs: number,
  ): { readonly session: EngineSession; readonly release: () => void };
}

const sessionsMax = 100;
const timeoutMsMax = 3_600_000;

/**
 * HTTP sessions by `session_id`. Temporary tables and settings stay for later requests of the session. A session
 * serves one request at a time.
 */
export function createSessions(engine: Engine): Sessions {
  const named = new Map<string, Named>();
  return { acquire };

  function acquire(id: string | null, timeoutMs: number): ReturnType<Sessions['acquire']> {
    if (id === null) {
      const session = engine.open();
      return { session, release: () => session.close() };
    }
    const entry = named.get(id) ?? open(id);
    if (entry.busy)
      throw protocolError(373, 'SESSION_IS_LOCKED', `Session ${id} is locked by a concurrent client`);
    entry.busy = true;
    if (entry.expiry !== null) clearTimeout(entry.expiry);
    return {
      session: entry.session,
      release: () => {
        entry.busy = false;
        entry.expiry = setTimeout(() => close(id, entry), Math.min(timeoutMs, timeoutMsMax));
        entry.expiry.unref();
      },
    };
  }

  function open(id: string): Named {
    if (named.size >= sessionsMax)
      throw protocolError(202, 'TOO_MANY_SIMULTANEOUS_QUERIES', 'Too many sessions');
    const entry: Named = { session: engine.open(), busy: false, expiry: null };
    named.set(id, entry);
    return entry;
  }

  function close(id: string, entry: Named): void {
    named.delete(id);
    entry.session.close();
  }
}
