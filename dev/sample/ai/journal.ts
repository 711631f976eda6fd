import type { TokenUsage } from './token-usage.ts';

/** One call of the sample API: the tokens that it generated, and how it ended. */
export interface JournalEntry extends TokenUsage {
  readonly id: string;
  readonly endpoint: string;
  readonly model: string;
  readonly stream: boolean;
  readonly status: number;
  /** Output tokens that were written to the connection. */
  readonly deliveredTokens: number;
  /** `delivered`: the whole response was written. `left`: the client disconnected. `aborted`: a switch ended it. */
  readonly outcome: 'open' | 'delivered' | 'left' | 'aborted';
  /** The decision of the gateway that forwarded the call; null for a direct call. */
  readonly decision: string | null;
}

/** The latest calls of this process. Tests compare them with what the gateway charged. */
export interface Journal {
  add(entry: JournalEntry): void;
  update(id: string, change: Partial<JournalEntry>): void;
  /** Entries whose fields have these values, oldest first. */
  find(fields: ReadonlyMap<string, string>): readonly JournalEntry[];
}

const entriesMax = 10_000;

export function createJournal(): Journal {
  const entries = new Map<string, JournalEntry>();
  return {
    add: (entry) => {
      entries.set(entry.id, entry);
      const oldest = entries.keys().next();
      if (entries.size > entriesMax && oldest.done !== true) entries.delete(oldest.value);
    },
    update: (id, change) => {
      const entry = entries.get(id);
      if (entry !== undefined) entries.set(id, { ...entry, ...change });
    },
    find: (fields) =>
      [...entries.values()].filter((entry) =>
        [...fields].every(([name, value]) => String(entry[name as keyof JournalEntry]) === value),
      ),
  };
}
