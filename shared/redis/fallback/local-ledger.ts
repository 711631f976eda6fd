import { createQuotaWindow } from './local-quota.ts';
import { createSlidingWindow } from './local-window.ts';
import type { LocalEntry, LocalWindow } from './local-window.ts';
import type { Subject } from '../decision/subjects.ts';
import type { Window } from '../decision/windows.ts';

/** The units that this node admitted without Redis, by subject, for as long as their windows last. Bounded. */
export interface LocalLedger {
  /** The account of a subject; creates one where there is none. */
  accountOf(subject: Subject): Account;
  /** Accounts with units that Redis does not have. */
  readonly unsent: ReadonlySet<Account>;
  /** Updates the entry count and `unsent` after the account's windows changed. */
  update(account: Account, nowMs: number): void;
  /** Removes the account from `unsent`. */
  clearUnsent(account: Account): void;
  /** Deletes some accounts whose windows are empty. Called each second. */
  sweep(nowMs: number): void;
  /** Entries of all windows together. */
  entries(): number;
}

/** The local windows of one subject. */
export interface Account {
  /** The object of the last check: an evicted subject comes back as a new object. */
  subject: Subject;
  readonly rows: Map<string, Row>;
  /** Sent to Redis and not acknowledged: it is sent again unchanged. */
  batch: Batch | null;
  entries: number;
}

export interface Row {
  readonly local: LocalWindow;
  window: Window;
  timeZone: string;
  /** The last usage from Redis that the window received, to detect a newer one. */
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
  readonly timeZone: string;
  readonly entries: readonly LocalEntry[];
}

export interface LocalLedgerOptions {
  readonly accountsMax?: number;
  /** Called when an account is evicted whose units never reached Redis. */
  readonly onDropped: () => void;
}

const accountsMaxDefault = 100_000;
const sweepAccounts = 2_000;

export function createLocalLedger({
  accountsMax = accountsMaxDefault,
  onDropped,
}: LocalLedgerOptions): LocalLedger {
  /** By the subject's key, least recently used first. */
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
    const account = existing ?? { subject, rows: new Map<string, Row>(), batch: null, entries: 0 };
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

/** The row of a window; creates one where the account has none. */
export function rowOf({ rows }: Account, window: Window, timeZone: string): Row {
  let row = rows.get(window.field);
  if (row === undefined) {
    const local = window.period === null ? createSlidingWindow() : createQuotaWindow();
    row = { local, window, timeZone, observedUsed: 0, observedResetAtMs: 0 };
    rows.set(window.field, row);
  }
  row.window = window;
  row.timeZone = timeZone;
  return row;
}
