/** Header fields or a query that a client may send to any route. */
export interface HostileFields {
  readonly name: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** The query, including its `?`. */
  readonly query?: string;
  /** Statuses that are right in addition to those of a request without hostile input. */
  readonly also: readonly number[];
  /** The only right statuses, for a header section that is so large that the HTTP server refuses it. */
  readonly only?: readonly number[];
}

const many = (count: number, fieldAt: (index: number) => string, between: string): string =>
  Array.from({ length: count }, (_, index) => fieldAt(index)).join(between);

export const hostileQueries: readonly HostileFields[] = [
  { name: 'nothing behind the ?', query: '?', also: [] },
  { name: 'only separators', query: '?&&=&==&;', also: [400] },
  { name: 'a thousand parameters', query: `?${many(1_000, (index) => `p${index}=1`, '&')}`, also: [400] },
  { name: 'one parameter a thousand times', query: `?${many(1_000, () => 'limit=1', '&')}`, also: [400] },
  { name: 'a long value', query: `?search=${'x'.repeat(10_000)}`, also: [400] },
  { name: 'escapes that are none', query: '?a=%&b=%zz&%=1', also: [400] },
  { name: 'escapes that are no UTF-8', query: '?tenant_id=%ff%fe&search=%c3', also: [400] },
  { name: 'NUL', query: '?tenant_id=%00&search=%00', also: [400] },
  { name: 'line breaks', query: '?tenant_id=a%0d%0aX-Injected:%201', also: [400] },
  { name: 'prototypes', query: '?__proto__=1&constructor=2&hasOwnProperty=3&__proto__[a]=4', also: [400] },
  { name: 'lists and objects', query: '?tenant_id[]=a&tenant_id[b]=c&limit[$gt]=1', also: [400] },
  { name: 'numbers that are none', query: '?limit=NaN&offset=-1&hours=1e9', also: [400] },
  { name: 'numbers beyond integers', query: '?limit=1e309&offset=99999999999999999999', also: [400] },
];

export const hostileHeaders: readonly HostileFields[] = [
  { name: 'four hundred cookies', headers: { cookie: many(400, (index) => `c${index}=1`, '; ') }, also: [] },
  { name: 'a cookie that is none', headers: { cookie: '=;=;;a=%zz; tollgate_portal="' }, also: [] },
  { name: 'an actor beyond its length', headers: { 'x-actor': 'a'.repeat(2_000) }, also: [] },
  { name: 'an actor beyond ASCII', headers: { 'x-actor': Buffer.from('Zoë').toString('latin1') }, also: [] },
  { name: 'tags that are none', headers: { 'if-match': '", W/, *"' }, also: [412] },
  { name: 'an Accept of nothing known', headers: { accept: 'x/y;q=0, */*;q=2, ;;' }, also: [] },
  { name: 'ranges', headers: { range: 'bytes=0-,-1' }, also: [] },
  {
    name: 'addresses that are none',
    headers: { 'x-forwarded-for': many(500, () => '999.1.1.1', ',') },
    also: [],
  },
  { name: 'another method', headers: { 'x-http-method-override': 'DELETE' }, also: [400] },
  { name: 'two credentials', headers: { 'x-api-key': ['tgk_a', 'tgk_b'] }, also: [400, 401] },
  { name: 'more than fits', headers: { 'x-filler': 'x'.repeat(17_000) }, also: [], only: [431] },
  {
    name: 'a thousand fields',
    headers: Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`x-f${index}`, 'x'.repeat(20)])),
    also: [],
    only: [431],
  },
];
