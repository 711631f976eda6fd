import { apiKeyId, scopeText } from '../../../shared/domain/tenant.ts';
import type { ApiKey } from '../../../shared/domain/tenant.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { isExpired } from '../../../shared/tenants/api-keys.ts';
import { breakable, html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { emptyState } from '../components/layout.ts';
import { table } from '../components/table.ts';
import type { Column } from '../components/table.ts';

export interface KeyTable {
  readonly caption: string;
  readonly zone: string;
  readonly nowMs: number;
  /** Times of the latest request with each key; null: unknown. */
  readonly uses: ReadonlyMap<string, string> | null;
  readonly name: (key: ApiKey) => Html;
  /** Further columns, such as actions. */
  readonly further?: readonly Column<ApiKey>[];
}

/** Table of API keys: what each may do, when it was last used, and when it ends. */
export function keyTable(
  keys: readonly ApiKey[],
  { caption, zone, nowMs, uses, name, further = [] }: KeyTable,
): Html {
  const columns: readonly Column<ApiKey>[] = [
    { title: 'Name', kind: 'head', cell: name },
    { title: 'May do', cell: ({ scope }) => breakable(scopeText(scope)) },
    {
      title: 'Created',
      kind: 'time',
      cell: ({ created_at: at }) => (at === undefined ? '–' : formatTime(at, zone)),
    },
    { title: 'Last use', kind: 'time', cell: (key) => lastUse(key, uses, zone) },
    { title: 'Ends', kind: 'time', cell: (key) => endOf(key, nowMs, zone) },
    ...further,
  ];
  const empty = emptyState('No API keys yet', 'Create one, and send it as X-Api-Key or as a bearer token.');
  return table({ caption, columns, rows: keys, empty });
}

/** The time of the latest recorded request with the key. */
export function lastUse({ sha256 }: ApiKey, uses: ReadonlyMap<string, string> | null, zone: string): string {
  if (uses === null) return 'unknown now';
  const at = uses.get(apiKeyId(sha256));
  return at === undefined ? 'never' : formatTime(at, zone);
}

export function endOf(key: ApiKey, nowMs: number, zone: string): Html {
  if (key.expires_at === undefined) return html`<span class="soft">never</span>`;
  if (isExpired(key, nowMs)) return html`<span class="badge plain">ended</span>`;
  return html`${formatTime(key.expires_at, zone)}`;
}
