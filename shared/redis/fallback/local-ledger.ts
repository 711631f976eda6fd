import { createQuotaWindow } from './local-quota.ts';
import { createSlidingWindow } from './local-window.ts';
import type { LocalEntry, LocalWindow } from './local-window.ts';
import type { Subject } from '../decision/subjects.ts';
import type { Window } from '../decision/windows.ts';

/**
 * The units that this node admitted without Redis, by subject (tenant, user or address). Units are kept until they leave their
 * window. The number of subjects is bounded.
 */
export interface LocalLedger {
  /** Returns the account of a subject; creates it if it does not exist. */
  accountOf(subject: Subject): Account;
  /** Accounts with units that are not counted in Redis yet. */
  readonly unsent: ReadonlySet<Account>;
  /** Updates the number of entries and the set `unsent` after the account's windows have changed. */
  update(account: Account, nowMs: number): void;
  /** Removes the account from `unsent`. */
  clearUnsent(account: Account): void;
  /** Deletes accounts whose windows are empty. Each call inspects only a part of all accounts. Called each second. */
  sweep(nowMs: number): void;
  /** Number of entries in all windows together. */
  entries(): number;
}

/** The local windows of one subject. */
export interface Account {
  /**
   * Subject object of the last check. It may change: a subject that was evicted from its cache is created again as a new object.
   */
  subject: Subject;
  readonly rows: Map<string, Row>;
  /** Backfill batch that was sent and has no reply yet; it is sent again unchanged. Null if there is none. */
  batch: Batch | null;
  /** What was added to the times of the last batch: Redis's time minus this node's time in milliseconds. */
  offsetMs: number;
  entries: number;
}

export interface Row {
  readonly local: LocalWindow;
  window: Window;
  calendar: string;
  /** Usage in Redis that was last passed to the window. A reply with a different usage is newer. */
  observedUsed: number;
  observedResetAtMs: number;
}

export interface Batch {
  readonly sequence: number;
  readonly parts: readonly BatchPart[];
}

export interface BatchPart {
  readonly row: Row;
  readonly window: Window;
  readonly calendar: string;
  readonly entries: readonly LocalEntry[];
}

export interface LocalLedgerOptions {
  readonly accountsMax?: number;
  /** Called when an account is evicted before its units were counted in Redis. */
  readonly onDropped: () => void;
}

const accountsMaxDefault = 100_000;
const sweepAccounts = 2_000;

export function createLocalLedger({
  accountsMax = accountsMaxDefault,
  onDropped,
}: LocalLedgerOptions): LocalLedger {
  /** Accounts by the subject's key, least recently used first. */
  const accounts = new Map<string, Account>();
  const unsent = new Set<Account>();
  let entries = 0;
  let sweeping = accounts.values();
  return {
    accountOf,
    unsent,
    update,
    clearUnsent: (account) => void unsent.delete(account),
    sweep,
    entries: () => entries,
  };

  function accountOf(subject: Subject): Account {
    const existing = accounts.get(subject.key);
    const account = existing ?? {
      subject,
      rows: new Map<string, Row>(),
      batch: null,
      offsetMs: 0,
      entries: 0,
    };
    account.subject = subject;
    accounts.delete(subject.key);
    accounts.set(subject.key, account);
    if (existing === undefined && accounts.size > accountsMax) evictOldest();
    return account;
  }

  function update(account: Account, nowMs: number): void {
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
      update(account, nowMs);
      if (account.entries === 0 && !unsent.has(account)) accounts.delete(account.subject.key);
    }
  }

  function evictOldest(): void {
    for (const [key, account] of accounts) {
      accounts.delete(key);
      entries -= account.entries;
      if (unsent.delete(account)) onDropped();
      return;
    }
  }
}

/** Returns the account's row for a window; creates it if it does not exist. */
export function rowOf({ rows }: Account, window: Window, calendar: string): Row {
  let row = rows.get(window.field);
  if (row === undefined) {
    const local = window.period === null ? createSlidingWindow() : createQuotaWindow();
    row = { local, window, calendar, observedUsed: 0, observedResetAtMs: 0 };
    rows.set(window.field, row);
  }
  row.window = window;
  row.calendar = calendar;
  return row;
}
