import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { moneyOf } from '../../domain/money.ts';
import type { RequestReading } from '../../domain/request/request-reading.ts';
import { isUnreadable, percentEncoded, readTarget } from '../../domain/request/request-target.ts';
import { checkCors } from './cors.ts';
import { calendarPeriod, durationMs } from '../../domain/time/duration.ts';
import { checkMeters } from './meters.ts';
import type { FieldPath, Mistakes } from './mistakes.ts';
import { parsePattern } from './pattern.ts';
import { compileRequests } from './requests.ts';
import type { LimitFile, PolicyFile } from './schema.ts';
import { shareNames } from './shares.ts';

/** What a schema cannot say: which parts of a policy file must fit together. Adds every mistake to `mistakes`. */
export function crosscheck(file: PolicyFile, mistakes: Mistakes): void {
  checkIdentity(file, mistakes);
  checkPlans(file, mistakes);
  checkRoutes(file, mistakes);
  checkPlatform(file, mistakes);
  checkServices(file, mistakes);
  checkMeters(file.meters, mistakes);
  checkCors(file.cors, mistakes);
}

/** These stand beside limit names in an event's `limited_by`. */
const reservedNames = new Set([
  'blocked',
  'unauthenticated',
  'invalid',
  'cost_too_high',
  'limit',
  'preflight',
]);
const longestLeewayMs = 5 * 60_000;
const shortestWindowMs = 1_000;
const longestWindowMs = 366 * 86_400_000;

function checkIdentity({ identity }: PolicyFile, mistakes: Mistakes): void {
  for (const [index, block] of (identity?.trusted_proxies ?? []).entries()) {
    if (!isAddressBlock(block)) {
      mistakes.add(
        ['identity', 'trusted_proxies', index],
        `"${block}" is not an address or CIDR block; write one like 10.0.0.0/8 or ::1/128`,
      );
    }
  }
  const { refused, jwt } = identity ?? {};
  if (refused !== undefined && !isInRange(refused.window)) {
    mistakes.add(['identity', 'refused', 'window'], outOfRange(refused.window));
  }
  if (jwt === undefined) return;
  const at = ['identity', 'jwt'];
  if ((jwt.secret_env === undefined) === (jwt.jwks_url === undefined)) {
    mistakes.add(at, 'must have exactly one of secret_env (a shared secret) and jwks_url (public keys)');
  }
  if (jwt.leeway !== undefined && (durationMs(jwt.leeway) ?? 0) > longestLeewayMs) {
    mistakes.add([...at, 'leeway'], `"${jwt.leeway}" is out of range; clocks may be 0s to 5m apart`);
  }
  if (jwt.jwks_max_stale !== undefined && jwt.jwks_url === undefined) {
    mistakes.add([...at, 'jwks_max_stale'], 'goes with jwks_url', 'key');
  }
  // A public key used as an HMAC secret is the classic forgery: the two families never mix.
  for (const [index, algorithm] of jwt.algorithms.entries()) {
    const symmetric = algorithm.startsWith('HS');
    if (symmetric && jwt.jwks_url !== undefined) {
      mistakes.add(
        [...at, 'algorithms', index],
        `${algorithm} needs a shared secret (secret_env), not jwks_url`,
      );
    } else if (!symmetric && jwt.secret_env !== undefined) {
      mistakes.add([...at, 'algorithms', index], `${algorithm} needs public keys (jwks_url), not secret_env`);
    }
  }
}

function checkPlans(file: PolicyFile, mistakes: Mistakes): void {
  if (file.plans[file.default_plan] === undefined) {
    const known = Object.keys(file.plans).join(', ');
    mistakes.add(['default_plan'], `"${file.default_plan}" is not one of the plans: ${known}`);
  }
  for (const [name, plan] of Object.entries(file.plans)) {
    const at = ['plans', name];
    checkLimits(plan.limits, [...at, 'limits'], mistakes);
    for (const [index, limit] of plan.limits.entries()) {
      if (limit.by_plan !== undefined) {
        mistakes.add(
          [...at, 'limits', index, 'by_plan'],
          'belongs on a route; here, write the plan\'s own "limit"',
          'key',
        );
      }
    }
  }
}

function checkRoutes(file: PolicyFile, mistakes: Mistakes): void {
  const seen = new Map<string, number>();
  const reading = compileRequests(file.requests);
  for (const [index, route] of (file.routes ?? []).entries()) {
    const at = ['routes', index];
    const pattern = parsePattern(route.match);
    if (typeof pattern === 'string') {
      mistakes.add([...at, 'match'], `"${route.match}" ${pattern}`);
    } else {
      const unreachable = problemOfPath(route.match, reading);
      if (unreachable !== null) mistakes.add([...at, 'match'], `"${route.match}" ${unreachable}`);
      const path = pattern.segments.join('/');
      const same = `${pattern.method} /${reading.letterCase === 'insensitive' ? path.toLowerCase() : path}`;
      const first = seen.get(same);
      if (first !== undefined)
        mistakes.add([...at, 'match'], `"${route.match}" is routes[${first}] again; join the two`);
      seen.set(same, first ?? index);
    }
    if (route.price !== undefined && route.price > 0 && moneyOf(route.price) === 0n)
      mistakes.add([...at, 'price'], 'is too small; prices have up to 12 decimals, so choose a larger unit');
    const limits = route.limits ?? [];
    checkLimits(limits, [...at, 'limits'], mistakes);
    for (const [position, limit] of limits.entries())
      checkRouteLimit(file, limit, [...at, 'limits', position], mistakes);
  }
}

/** Why no request could be served by a pattern as `requests` has it; null where one can. */
function problemOfPath(match: string, reading: RequestReading): string | null {
  const path = match.slice(match.indexOf('/'));
  const target = readTarget(percentEncoded(path), reading);
  if (isUnreadable(target)) return `matches no request. ${target.detail} See the key "requests"`;
  if (!path.includes(';') || reading.parameters === 'text') return null;
  return 'has a ";"; set requests.parameters to text, or write the path without parameters';
}

/** Overrides and boosts name a limit, so a name must mean one limit for any request. */
function checkRouteLimit(file: PolicyFile, limit: LimitFile, at: FieldPath, mistakes: Mistakes): void {
  for (const [plan, { limits }] of Object.entries(file.plans)) {
    if (limits.some(({ name }) => name === limit.name)) {
      mistakes.add(
        [...at, 'name'],
        `"${limit.name}" is also a limit of plan ${plan}; give the route's limit another name`,
      );
    }
  }
  for (const plan of Object.keys(limit.by_plan ?? {})) {
    if (file.plans[plan] === undefined) {
      const known = Object.keys(file.plans).join(', ');
      mistakes.add([...at, 'by_plan', plan], `"${plan}" is not one of the plans: ${known}`, 'key');
    }
  }
}

function checkPlatform({ platform, plans, routes }: PolicyFile, mistakes: Mistakes): void {
  const limits = platform?.limits ?? [];
  checkLimits(limits, ['platform', 'limits'], mistakes);
  const others = [...Object.values(plans), ...(routes ?? [])].flatMap((part) => part.limits ?? []);
  for (const [index, limit] of limits.entries()) {
    const at = ['platform', 'limits', index];
    if (limit.per !== 'global' && !(Array.isArray(limit.per) && limit.per.join() === 'global')) {
      mistakes.add([...at, 'per'], 'must be global: the platform is counted as a whole');
    }
    if (limit.by_plan !== undefined) mistakes.add([...at, 'by_plan'], 'belongs on a route', 'key');
    if (others.some(({ name }) => name === limit.name)) {
      mistakes.add(
        [...at, 'name'],
        `"${limit.name}" is also a limit of a plan or route; give it another name`,
      );
    }
    const same = [...others, ...limits].find(({ name }) => shareNames(limit.name).includes(name));
    if (limit.type === 'concurrent' && same !== undefined) {
      mistakes.add(
        [...at, 'name'],
        `its share is called "${same.name}", as another limit is; give one of them another name`,
      );
    }
  }
}

function checkLimits(limits: readonly LimitFile[], at: FieldPath, mistakes: Mistakes): void {
  const seen = new Set<string>();
  for (const [index, limit] of limits.entries()) {
    const here = [...at, index];
    if (reservedNames.has(limit.name))
      mistakes.add([...here, 'name'], `"${limit.name}" is reserved; choose another name`);
    if (seen.has(limit.name)) {
      mistakes.add(
        [...here, 'name'],
        `"${limit.name}" stands twice in this list; names are unique within a plan or route`,
      );
    }
    seen.add(limit.name);
    if (Array.isArray(limit.per) && limit.per.length > 1 && limit.per.includes('global')) {
      mistakes.add(
        [...here, 'per'],
        'may not combine global with others: global already counts everyone together',
      );
    }
    checkWindow(limit, here, mistakes);
  }
}

function checkWindow(limit: LimitFile, at: FieldPath, mistakes: Mistakes): void {
  const { window, type = 'sliding' } = limit;
  if (type !== 'sliding' && (limit.burst ?? 0) > 0) {
    mistakes.add([...at, 'burst'], `goes with type sliding, not ${type}`);
  }
  if (type === 'concurrent') {
    if (window !== undefined)
      mistakes.add([...at, 'window'], 'does not go with type concurrent, which has no window');
    return;
  }
  if (window === undefined) {
    mistakes.add([...at, 'window'], 'is missing; write how long the limit counts, e.g. 1m');
    return;
  }
  if (type === 'quota' && calendarPeriod(window) === null) {
    mistakes.add([...at, 'window'], `"${window}" is no calendar period; a quota takes 1h, 1d, 1w or 1mo`);
  }
  if (!isInRange(window)) mistakes.add([...at, 'window'], outOfRange(window));
}

function isInRange(window: string): boolean {
  const spanMs = durationMs(window) ?? 0;
  return spanMs >= shortestWindowMs && spanMs <= longestWindowMs;
}

function outOfRange(window: string): string {
  return `"${window}" is out of range; windows last from 1s to 366d`;
}

function checkServices({ services }: PolicyFile, mistakes: Mistakes): void {
  const seen = new Set<string>();
  for (const [index, service] of (services ?? []).entries()) {
    const at = ['services', index];
    if ((service.token_sha256 === undefined) === (service.token_env === undefined)) {
      mistakes.add(at, 'must have exactly one of token_sha256 and token_env');
    }
    if (seen.has(service.name))
      mistakes.add([...at, 'name'], `"${service.name}" stands twice; names are unique`);
    seen.add(service.name);
  }
}

function isAddressBlock(text: string): boolean {
  return text.includes('/') ? ipaddr.isValidCIDR(text) : isIP(text) !== 0;
}
