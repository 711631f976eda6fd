import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { roles } from '../../../shared/domain/operators/operator.ts';
import type { Access, RouteAccess } from '../../../shared/runtime/http/access.ts';
import { listeners } from './listeners.ts';

interface Row {
  readonly listener: string;
  /** The routes that a row of the table names; empty if the row says “every other route”. */
  readonly named: readonly string[];
  /** Prefix of the routes that “every other route” covers, if it does not cover the whole listener. */
  readonly prefix: string;
  /** True if “every other route” covers only routes that read. */
  readonly reads: boolean;
  readonly access: Access;
}

const meanings: readonly (readonly [RegExp, Access])[] = [
  [/^none/, 'public'],
  [/^the client's own/, 'decision'],
  [/^JWT or API key of a tenant/, 'credential'],
  ...roles.flatMap((role) => [
    [new RegExp(`^operator's token, ${role}$`), `operator-token:${role}`] as const,
    [new RegExp(`^operator session, ${role}$`), `operator-session:${role}`] as const,
  ]),
  [/^portal session$/, 'portal-session'],
];

const rows = readRows();

test.each(Object.keys(listeners))(
  'docs/api.md states the credential of each route of the %s listener',
  async (name) => {
    const app = await listeners[name]!();
    await app.ready();
    const differing = app.routeAccess.filter((route) => documented(name, route) !== route.access);
    expect(differing).toEqual([]);
    const found = new Set(app.routeAccess.flatMap(({ method, url }) => [`${method} ${url}`, `* ${url}`]));
    const gone = rows.filter(({ listener }) => listener === name).flatMap(({ named }) => named);
    expect(gone.filter((route) => !found.has(route))).toEqual([]);
    await app.close();
  },
);

function documented(listener: string, { method, url }: RouteAccess): Access | undefined {
  const own = rows.filter((row) => row.listener === listener);
  const names = [`${method} ${url}`, `* ${url}`, ...(method === 'HEAD' ? [`GET ${url}`] : [])];
  const row =
    own.find(({ named }) => names.some((one) => named.includes(one))) ??
    own.find(
      ({ named, prefix, reads }) =>
        named.length === 0 && url.startsWith(prefix) && (!reads || /^(GET|HEAD)$/.test(method)),
    );
  return row?.access;
}

function readRows(): Row[] {
  const [, section = ''] = readFileSync('docs/api.md', 'utf8').split('## Which credential opens which route');
  return section
    .split('\n')
    .filter((line) => line.startsWith('| ') && !/^\| (listener|---|rls)/.test(line))
    .map((line) => {
      const [, listener = '', route = '', credential = ''] = line.split('|').map((cell) => cell.trim());
      const quoted = [...route.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text);
      const isRest = /^every /.test(route);
      const access = meanings.find(([words]) => words.test(credential))?.[1];
      if (access === undefined) throw new Error(`docs/api.md: unknown credential “${credential}”`);
      const prefix = isRest ? (quoted.find((text) => text.startsWith('/')) ?? '') : '';
      const reads = isRest && quoted.includes('GET');
      return { listener, named: isRest ? [] : quoted, prefix, reads, access };
    });
}
