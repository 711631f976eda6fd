import type { FastifyInstance } from 'fastify';
import type { Access, RouteAccess } from '../../../shared/runtime/http/access.ts';
import { clientOf } from './client.ts';
import type { Call } from './client.ts';
import type { Sample, Samples } from './sample.ts';
import { spellings } from './spellings.ts';
import type { Spelling } from './spellings.ts';

export interface Credential {
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Kinds of routes to which the credential gives access; empty for an invalid credential. */
  readonly opens: readonly Access[];
  /**
   * True: only the registered spelling of each route is tried. For credentials that the same guard refuses or accepts as
   * another credential of the list, which is tried in every spelling.
   */
  readonly plain?: boolean;
  /** True if the gateway's decision refuses the credential. */
  readonly bad?: boolean;
}

export interface Listener {
  readonly name: string;
  readonly app: FastifyInstance;
  readonly samples: Samples;
  readonly credentials: readonly Credential[];
  readonly contentType: string;
  /** Headers that are sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Status of a request whose credential gives no access to the route. */
  readonly denied: (credential: Credential, access: Access) => number;
  /**
   * Status with which the route refuses this spelling for every credential; null if it does not refuse the spelling.
   */
  readonly refused?: (route: RouteAccess, what: string) => number | null;
  /** Status of a target that matches no route, by credential. */
  readonly unmatched: (credential: Credential) => number;
}

export interface Walk {
  readonly routes: number;
  readonly cells: number;
  /** Combinations whose response status differs from the expected status. */
  readonly wrong: readonly string[];
}

/** Headers with which some servers let a request override its method. */
export const overrides = ['x-http-method-override', 'x-http-method', 'x-method-override'];
const inFlightMax = 8;
const wrongShownMax = 40;

/** Sends a request to every route of a running listener in every spelling with every credential. */
export async function walk(listener: Listener): Promise<Walk> {
  const { app, credentials } = listener;
  const client = await clientOf(app);
  const cells: { call: () => Call; expected: number; name: string }[] = [];
  const gone = goneFrom(listener);
  if (gone.length > 0) throw new Error(`${listener.name}: these routes are no more: ${gone.join(', ')}`);
  // Sign-out routes are last, because a sign-out ends the session that requests to the other routes need.
  for (const route of app.routeAccess.toSorted((a, b) => endsSession(a) - endsSession(b))) {
    const sampleOf = sampleFor(listener, route);
    for (const credential of credentials) {
      const add = (what: string, expected: number, call: (sample: Sample) => Partial<Call>): void => {
        const name = `${listener.name} ${route.method} ${route.url}, ${what}, ${credential.name}`;
        const make = (): Call => callOf(listener, route.method, credential, sampleOf(), call);
        cells.push({ call: make, expected: listener.refused?.(route, what) ?? expected, name });
      };
      for (const spelling of spellings) {
        const path = sampleOf().path;
        if (spelling.name !== 'as registered' && (credential.plain || spelling.write(path, '') === path))
          continue;
        // For a wildcard route two slashes inside the path are part of the file's name, so the route still matches.
        if (spelling.name === 'two slashes inside' && route.url.endsWith('*')) continue;
        add(spelling.name, expectedOf(listener, route, spelling, credential, sampleOf()), (sample) => ({
          target: spelling.write(sample.path, client.origin),
        }));
      }
      for (const header of credential.plain ? [] : overrides) {
        const method = route.method === 'DELETE' ? 'PUT' : 'DELETE';
        add(header, expectedOf(listener, route, spellings[0]!, credential, sampleOf()), () => ({
          headers: { [header]: method },
        }));
      }
      if (!app.routeAccess.some(({ method, url }) => method === 'OPTIONS' && url === route.url))
        add('OPTIONS', listener.unmatched(credential), () => ({ method: 'OPTIONS', body: null }));
    }
  }
  const wrong: string[] = [];
  const pending = cells.values();
  const work = async (): Promise<void> => {
    for (const { call, expected, name } of pending) {
      let made = call();
      let status = await client.send(made);
      // A store that answers too late under load gives 503, which says nothing about access.
      for (let again = 0; again < 3 && status === 503 && status !== expected; again++) {
        made = call();
        status = await client.send(made);
      }
      if (status !== expected) wrong.push(`${name}: ${status} in place of ${expected} (${made.target})`);
    }
  };
  await Promise.all(Array.from({ length: inFlightMax }, work));
  client.close();
  return { routes: app.routeAccess.length, cells: cells.length, wrong: wrong.slice(0, wrongShownMax) };
}

function endsSession({ url }: RouteAccess): number {
  return url.endsWith('/sign-out') ? 1 : 0;
}

function goneFrom({ app, samples }: Listener): string[] {
  const found = new Set(app.routeAccess.flatMap(({ method, url }) => [`${method} ${url}`, `* ${url}`]));
  return Object.keys(samples).filter((name) => !found.has(name));
}

/** Throws for a route without a sample in the table. */
function sampleFor({ name, samples }: Listener, { method, url }: RouteAccess): () => Sample {
  const names = [`${method} ${url}`, ...(method === 'HEAD' ? [`GET ${url}`] : []), `* ${url}`];
  const sample = names.map((one) => samples[one]).find((one) => one !== undefined);
  if (sample === undefined) throw new Error(`${name}: ${method} ${url} is not in the table of the test`);
  return sample;
}

function expectedOf(
  listener: Listener,
  { access, url }: RouteAccess,
  { same }: Spelling,
  credential: Credential,
  { status }: Sample,
): number {
  if (!same) return listener.unmatched(credential);
  const opened = typeof status === 'number' ? status : (status[credential.name] ?? status['other'] ?? 0);
  if (access === 'public') return opened;
  if (access === 'decision') return credential.bad === true ? 401 : opened;
  if (access === undefined) throw new Error(`${url} declares no access`);
  return credential.opens.includes(access) ? opened : listener.denied(credential, access);
}

function callOf(
  { contentType, headers = {} }: Listener,
  method: string,
  credential: Credential,
  sample: Sample,
  change: (sample: Sample) => Partial<Call>,
): Call {
  const changed = change(sample);
  const body = sample.body ?? null;
  return {
    method,
    target: sample.path,
    body,
    ...changed,
    headers: {
      ...headers,
      ...credential.headers,
      ...(body === null || changed.body === null ? {} : { 'content-type': contentType }),
      ...changed.headers,
    },
  };
}
