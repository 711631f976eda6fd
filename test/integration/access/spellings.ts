/** Another way to write the target of a route. */
export interface Spelling {
  readonly name: string;
  /** True if this spelling matches the same route; false if it matches no route of any tested listener. */
  readonly same: boolean;
  readonly write: (path: string, origin: string) => string;
}

const firstSegment = /^\/[^/?]+/;

/** Every known spelling that bypasses a guard which compares the text of the target. */
export const spellings: readonly Spelling[] = [
  { name: 'as registered', same: true, write: (path) => path },
  { name: 'first letter encoded', same: true, write: (path) => path.replace(/[a-z]/, encodeLetter) },
  {
    name: 'first segment encoded',
    same: true,
    write: (path) => path.replace(firstSegment, (segment) => segment.replaceAll(/[a-z]/g, encodeLetter)),
  },
  {
    name: 'every letter encoded, in capitals',
    same: true,
    write: (path) =>
      onPath(path, (text) => text.replaceAll(/[a-z]/g, (letter) => encodeLetter(letter).toUpperCase())),
  },
  { name: 'absolute form', same: true, write: (path, origin) => origin + path },
  { name: 'absolute form of another host', same: true, write: (path) => `http://other.example${path}` },
  {
    name: 'absolute form, encoded',
    same: true,
    write: (path, origin) => origin + path.replace(/[a-z]/, encodeLetter),
  },
  { name: 'a query that names an open route', same: true, write: (path) => withQuery(path, '/healthz') },
  {
    name: 'a query of an open route’s dots',
    same: true,
    write: (path) => withQuery(path, 'x=/../../metrics'),
  },
  { name: 'a fragment', same: true, write: (path) => (path.includes('?') ? path : `${path}#/healthz`) },
  {
    name: 'in capitals',
    same: false,
    write: (path) => path.replace(firstSegment, (segment) => segment.toUpperCase()),
  },
  { name: 'two slashes first', same: false, write: (path) => `/${path}` },
  { name: 'two slashes inside', same: false, write: (path) => path.replace(/^(\/[^/?]+)\//, '$1//') },
  { name: 'a dot segment first', same: false, write: (path) => `/.${path}` },
  { name: 'up from an open route', same: false, write: (path) => `/healthz/..${path}` },
  { name: 'up, encoded', same: false, write: (path) => `/healthz/%2e%2e${path}` },
  {
    name: 'a parameter of the first segment',
    same: false,
    write: (path) => path.replace(firstSegment, '$&;x=1'),
  },
  {
    name: 'a NUL behind the first segment',
    same: false,
    write: (path) => path.replace(firstSegment, '$&%00'),
  },
  { name: 'an encoded slash', same: false, write: (path) => `/%2f${path.slice(1)}` },
  { name: 'a backslash', same: false, write: (path) => `/\\${path.slice(1)}` },
  {
    name: 'a letter encoded twice',
    same: false,
    write: (path) => path.replace(/[a-z]/, (letter) => encodeLetter(letter).replace('%', '%25')),
  },
];

function encodeLetter(letter: string): string {
  return `%${letter.charCodeAt(0).toString(16)}`;
}

function onPath(target: string, change: (path: string) => string): string {
  const [path = '', ...query] = target.split('?');
  return [change(path), ...query].join('?');
}

function withQuery(path: string, query: string): string {
  return path + (path.includes('?') ? '&' : '?') + query;
}
