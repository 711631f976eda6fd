import { createQuotaWindow } from './local-quota.ts';
import { createSlidingWindow } from './local-window.ts';
import type { LocalEntry, LocalWindow } from './local-window.ts';
import type { Subject } from '../decision/subjects.ts';
import type { Window } from '../decision/windows.ts';

/** What this node admitted without Redis, by subject, for as long as its windows last. Bounded. */
export interface LocalLedger {
  /** The account of a subject; a new one where none is kept. */
  of(subject: Subject): Account;
  /** Accounts with units that Redis does not have. */
  readonly unsent: ReadonlySet<Account>;
  changed(account: Account, nowMs: number): void;
  /** Takes the account out of `unsent`. */
  settled(account: Account): void;
  /** Forgets a few accounts whose windows are empty by now. Called now and then. */
  sweep(nowMs: number): void;
  /** Entries held by all windows. */
  entries(): number;
}

/** The local windows of one subject. */
export interface Account {
  /** The one that was last asked for: a subject that was forgotten meanwhile is another object. */
  subject: Subject;
  readonly rows: Map<string, Row>;
  /** Sent and not acknowledged yet: sent again as it is. */
  batch: Batch | null;
  entries: number;
}

export interface Row {
  readonly local: LocalWindow;
  window: Window;
  timeZone: string;
  /** What was heard last, to notice what is new. */
  heardUsed: number;
  heardResetAtMs: number;
}

export interface Batch {
  readonly sequence: number;
  readonly parts: readonly BatchPart[];
}

export interface BatchPart {
  readonly row: Row;
  readonly window: Window;
  readonly timeZone: string;
  readonly entries: readonly LocalEntry[];
}

export interface LocalLedgerOptions {
  readonly accountsMax?: number;
  /** An account with units that never reached Redis is forgotten. */
  readonly onDropped: () => void;
}

const accountsMaxDefault = 100_000;
const sweepAccounts = 2_000;

export function createLocalLedger({
  accountsMax = accountsMaxDefault,
  onDropped,
}: LocalLedgerOptions): LocalLedger {
  /** By the subject's key. The one unused longest is first. */
  const accounts = new Map<string, Account>();
  const unsent = new Set<Account>();
  let entries = 0;
  let sweeping = accounts.values();
  return {
    of,
    unsent,
    changed,
    settled: (account) => void unsent.delete(account),
    sweep,
    entries: () => entries,
  };

  function of(subject: Subject): Account {
    const known = accounts.get(subject.key);
    const account = known ?? { subject, rows: new Map<string, Row>(), batch: null, entries: 0 };
    account.subject = subject;
    accounts.delete(subject.key);
    accounts.set(subject.key, account);
    if (known === undefined && accounts.size > accountsMax) forgetOldest();
    return account;
  }

  function changed(account: Account, nowMs: number): void {
    if (accounts.get(account.subject.key) !== account) return;
    let [size, isUnsent] = [0, account.batch !== null];
    for (const { local, window } of account.rows.values()) {
      size += local.size(window.spanMs, nowMs);
      isUnsent ||= local.hasUnsent();
    }
    entries += size - account.entries;
    account.entries = size;
    if (isUnsent) unsent.add(account);
  }

  function sweep(nowMs: number): void {
    for (let count = 0; count < sweepAccounts; count += 1) {
      const { value: account, done } = sweeping.next();
      if (done === true) {
        sweeping = accounts.values();
        return;
      }
      changed(account, nowMs);
      if (account.entries === 0 && !unsent.has(account)) accounts.delete(account.subject.key);
    }
  }

  function forgetOldest(): void {
    for (const [key, account] of accounts) {
      accounts.delete(key);
      entries -= account.entries;
      if (unsent.delete(account)) onDropped();
      return;
    }
  }
}

/** The row of a window; a new one where the account has none. */
export function rowOf({ rows }: Account, window: Window, timeZone: string): Row {
  let row = rows.get(window.field);
  if (row === undefined) {
    const local = window.period === null ? createSlidingWindow() : createQuotaWindow();
    row = { local, window, timeZone, heardUsed: 0, heardResetAtMs: 0 };
    rows.set(window.field, row);
  }
  row.window = window;
  row.timeZone = timeZone;
  return row;
}
