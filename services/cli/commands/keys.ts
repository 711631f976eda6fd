import type { Static } from 'typebox';
import type {
  keysAnswer,
  newKeyAnswer,
  rolledKeyAnswer,
} from '../../../shared/admin-answers/answer-schemas.ts';
import { apiKeyId, scopeText } from '../../../shared/domain/tenant.ts';
import type { KeyScope } from '../../../shared/domain/tenant.ts';
import type { Command, Invocation, Report } from '../command.ts';
import { UsageError, endAfter, operand, optional, required, table } from '../command.ts';
import { existingTenant } from './existing-tenant.ts';
import { pathOf } from './tenants.ts';

/** API keys of a tenant. A key is named by the first digits of its hash. */
export const keysCommand: Command = {
  name: 'keys',
  synopsis: 'TENANT [list | create | roll KEY --overlap 24h | revoke KEY]',
  summary: 'List, create, roll or revoke API keys of a tenant. A new key is shown once.',
  operands: [1, 3],
  flags: {
    for: { type: 'string', help: 'create: validity, e.g. 12h or 90d (default: until revoked).' },
    name: { type: 'string', help: 'create: what the key is for.' },
    permissions: {
      type: 'string',
      help: 'create: what the key may do: requests, usage, events, manage; comma-separated (default: all).',
    },
    routes: {
      type: 'string',
      help: 'create: the only requests it may send, e.g. "GET /v1/**,POST /v1/chat" (default: all).',
    },
    overlap: { type: 'string', help: 'roll: how long the old key stays valid; 0s ends it at once.' },
    create: { type: 'boolean', help: 'create: also for an id without a record and without usage.' },
  },
  example: 'keys acme create --for 90d --name CI --permissions requests --routes "GET /v1/**"',
  run: (invocation) => {
    const action = operand(invocation, 1) || 'list';
    if (action === 'list') return listKeys(invocation);
    if (action === 'create') return createKey(invocation);
    if (action === 'roll') return rollKey(invocation);
    if (action === 'revoke') return revokeKey(invocation);
    throw new UsageError(`“${action}” is not list, create, roll or revoke.`);
  },
};

type ListAnswer = Static<typeof keysAnswer>;
type NewKeyAnswer = Static<typeof newKeyAnswer>;

function keysPath(invocation: Invocation): string {
  return `${pathOf(operand(invocation, 0))}/api-keys`;
}

/** The path of the key that the third operand names. */
function keyPath(invocation: Invocation): string {
  const key = operand(invocation, 2);
  if (key === '') throw new UsageError('Name the key by the first digits of its hash.');
  return `${keysPath(invocation)}/${encodeURIComponent(key)}`;
}

async function listKeys(invocation: Invocation): Promise<Report> {
  const data = await invocation.call<ListAnswer>('GET', keysPath(invocation));
  const unused = data.last_use_known ? 'never' : 'unknown';
  const rows = data.api_keys.map((key) => [
    apiKeyId(key.sha256),
    key.name ?? '',
    scopeText(key.scope),
    key.created_at ?? '',
    key.last_used_at ?? unused,
    key.expires_at === undefined ? 'never' : `${key.expires_at}${key.expired ? ' (ended)' : ''}`,
  ]);
  const head = ['KEY', 'NAME', 'SCOPE', 'CREATED', 'LAST USE', 'ENDS'];
  return { data, text: rows.length === 0 ? 'None.' : table(head, rows) };
}

async function createKey(invocation: Invocation): Promise<Report> {
  const span = optional(invocation, 'for');
  const name = optional(invocation, 'name');
  const scope = scopeOf(invocation);
  const expiresAt = span === undefined ? undefined : endAfter(span, invocation.nowMs);
  await existingTenant(invocation);
  const data = await invocation.call<NewKeyAnswer>('POST', keysPath(invocation), {
    ...(name === undefined ? {} : { name }),
    ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
    ...(scope === null ? {} : { scope }),
  });
  return { data, text: newKeyText(data) };
}

async function rollKey(invocation: Invocation): Promise<Report> {
  const data = await invocation.call<Static<typeof rolledKeyAnswer>>('POST', `${keyPath(invocation)}/roll`, {
    overlap: required(invocation, 'overlap'),
  });
  const { sha256, expires_at: end } = data.replaced;
  return { data, text: `${newKeyText(data)}\nThe old key ${apiKeyId(sha256)} ends at ${end ?? 'no time'}.` };
}

async function revokeKey(invocation: Invocation): Promise<Report> {
  await invocation.call('DELETE', keyPath(invocation));
  const [id, key] = [operand(invocation, 0), operand(invocation, 2)];
  return { data: { tenant_id: id, revoked: key }, text: `Revoked key ${key} of ${id}.` };
}

/** The scope that the flags state; null without flags. Routes without permissions are those of `requests`. */
function scopeOf(invocation: Invocation): KeyScope | null {
  const list = (name: string): string[] | null => {
    const text = optional(invocation, name);
    return text === undefined ? null : text.split(',').map((word) => word.trim());
  };
  const [permissions, routes] = [list('permissions'), list('routes')];
  if (permissions === null && routes === null) return null;
  return { permissions: permissions ?? ['requests'], ...(routes === null ? {} : { routes }) };
}

function newKeyText({ api_key: key, sha256, expires_at: end, scope }: NewKeyAnswer): string {
  const until = end === undefined ? '' : ` It is valid until ${end}.`;
  return `${key}\nOnly its hash is kept (${apiKeyId(sha256)}…): copy it now.${until} It may do: ${scopeText(scope)}.`;
}
