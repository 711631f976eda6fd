import { moneyOf, moneyText } from '../../domain/money.ts';
import { isAddressBlock } from '../address-blocks.ts';
import { checkAttributes, compileAttributes } from './attributes.ts';
import { checkCors } from './cors.ts';
import { durationMs } from '../../domain/time/duration.ts';
import { checkMeters } from './meters.ts';
import type { FieldPath, Violations } from './violations.ts';
import { checkGroup, checkLimits, isInRange, outOfRange } from './limits/check-limits.ts';
import type { Definitions } from './limits/check-limits.ts';
import type { LimitFile } from './limits/limit-file.ts';
import { checkPatterns } from './routes/check-patterns.ts';
import { checkExemptAddresses } from './routes/exempt.ts';
import type { PolicyFile } from './schema.ts';
import { shareNames } from './shares.ts';
import { standardMeasures } from '../../domain/usage/measures.ts';
import { checkPrices } from './usage/prices.ts';
import { checkQuantities, compileQuantities } from './usage/quantities.ts';
import { checkUsage } from './usage/usage-file.ts';

/**
 * Checks the rules that a schema cannot express: parts of the policy file must not contradict one another. Adds every
 * violation to `violations`.
 */
export function crosscheck(file: PolicyFile, violations: Violations): void {
  const measures = knownMeasures(file);
  const definitions = {
    quantities: compileQuantities(file.quantities),
    attributes: compileAttributes(file.attributes),
  };
  checkQuantities(file.quantities, file.prices !== undefined, measures, violations);
  checkAttributes(file.attributes, file.identity?.jwt !== undefined, violations);
  checkPrices(file.prices, measures, violations);
  checkIdentity(file, violations);
  checkPlans(file, definitions, violations);
  checkRoutes(file, definitions, violations);
  for (const [index, route] of (file.routes ?? []).entries())
    checkUsage(route, measures, ['routes', index], violations);
  checkPlatform(file, definitions, violations);
  checkGroups(file, definitions, violations);
  checkServices(file, violations);
  checkExemptAddresses(file.exempt, violations);
  checkMeters(file.meters, violations);
  checkCors(file.cors, violations);
}

/**
 * The measures that a policy can name: a misspelt measure would never be reported, and a limit of it never be reached.
 */
function knownMeasures({ quantities = {}, routes = [] }: PolicyFile): ReadonlySet<string> {
  const ownMeasures = Object.entries(quantities)
    .filter(([, { sum, cost }]) => sum === undefined && cost === undefined)
    .map(([name]) => name);
  const read = routes.flatMap(({ usage }) => Object.keys(usage?.measures ?? {}));
  return new Set([...standardMeasures, ...read, ...ownMeasures]);
}

const longestLeewayMs = 5 * 60_000;

function checkIdentity({ identity }: PolicyFile, violations: Violations): void {
  for (const [index, block] of (identity?.trusted_proxies ?? []).entries()) {
    if (!isAddressBlock(block)) {
      violations.add(
        ['identity', 'trusted_proxies', index],
        `"${block}" is not an address or CIDR block; write one like 10.0.0.0/8 or ::1/128`,
      );
    }
  }
  const { refused, jwt } = identity ?? {};
  if (refused !== undefined && !isInRange(refused.window)) {
    violations.add(['identity', 'refused', 'window'], outOfRange(refused.window));
  }
  if (jwt === undefined) return;
  const at = ['identity', 'jwt'];
  if ((jwt.secret_env === undefined) === (jwt.jwks_url === undefined)) {
    violations.add(at, 'must have exactly one of secret_env (a shared secret) and jwks_url (public keys)');
  }
  if (jwt.leeway !== undefined && (durationMs(jwt.leeway) ?? 0) > longestLeewayMs) {
    violations.add([...at, 'leeway'], `"${jwt.leeway}" is out of range; clocks may be 0s to 5m apart`);
  }
  if (jwt.jwks_max_stale !== undefined && jwt.jwks_url === undefined) {
    violations.add([...at, 'jwks_max_stale'], 'is allowed with jwks_url only', 'key');
  }
  // A policy must not accept both HMAC and public-key algorithms: an attacker could sign a token with HMAC and use
  // the public key as the secret.
  for (const [index, algorithm] of jwt.algorithms.entries()) {
    const symmetric = algorithm.startsWith('HS');
    if (symmetric && jwt.jwks_url !== undefined) {
      violations.add(
        [...at, 'algorithms', index],
        `${algorithm} needs a shared secret (secret_env), not jwks_url`,
      );
    } else if (!symmetric && jwt.secret_env !== undefined) {
      violations.add(
        [...at, 'algorithms', index],
        `${algorithm} needs public keys (jwks_url), not secret_env`,
      );
    }
  }
}

function checkPlanPrice(
  { currency }: PolicyFile,
  price: number | undefined,
  at: FieldPath,
  violations: Violations,
): void {
  if (price === undefined) return;
  if (currency === undefined) {
    violations.add(at, 'needs a currency; add the key "currency", e.g. currency: USD', 'key');
  }
  if (Number(moneyText(moneyOf(price))) !== price) {
    violations.add(at, 'has more than 12 decimals; round it');
  }
}

function checkPlans(file: PolicyFile, definitions: Definitions, violations: Violations): void {
  if (file.plans[file.default_plan] === undefined) {
    const planNames = Object.keys(file.plans).join(', ');
    violations.add(['default_plan'], `"${file.default_plan}" is not one of the plans: ${planNames}`);
  }
  for (const [name, plan] of Object.entries(file.plans)) {
    const at = ['plans', name];
    checkLimits(plan.limits, definitions, [...at, 'limits'], violations);
    checkPlanPrice(file, plan.price, [...at, 'price'], violations);
    for (const [index, limit] of plan.limits.entries()) {
      if (limit.by_plan !== undefined) {
        violations.add(
          [...at, 'limits', index, 'by_plan'],
          'belongs on a route; here, write the plan\'s own "limit"',
          'key',
        );
      }
    }
  }
}

function checkRoutes(file: PolicyFile, definitions: Definitions, violations: Violations): void {
  checkPatterns(file, violations);
  for (const [index, route] of (file.routes ?? []).entries()) {
    const at = ['routes', index];
    if (route.price !== undefined && route.price > 0 && moneyOf(route.price) === 0n)
      violations.add(
        [...at, 'price'],
        'is too small; prices have up to 12 decimals, so choose a larger unit',
      );
    const limits = route.limits ?? [];
    checkLimits(limits, definitions, [...at, 'limits'], violations);
    for (const [position, limit] of limits.entries())
      checkRouteLimit(file, limit, [...at, 'limits', position], violations);
  }
}

/**
 * Overrides and boosts refer to limits by name. Therefore no two limits that apply to the same request may have the
 * same name.
 */
function checkRouteLimit(file: PolicyFile, limit: LimitFile, at: FieldPath, violations: Violations): void {
  for (const [plan, { limits }] of Object.entries(file.plans)) {
    if (limits.some(({ name }) => name === limit.name)) {
      violations.add(
        [...at, 'name'],
        `"${limit.name}" is also a limit of plan ${plan}; give the route's limit another name`,
      );
    }
  }
  for (const plan of Object.keys(limit.by_plan ?? {})) {
    if (file.plans[plan] === undefined) {
      const planNames = Object.keys(file.plans).join(', ');
      violations.add([...at, 'by_plan', plan], `"${plan}" is not one of the plans: ${planNames}`, 'key');
    }
  }
}

function checkPlatform(
  { platform, plans, routes }: PolicyFile,
  definitions: Definitions,
  violations: Violations,
): void {
  const limits = platform?.limits ?? [];
  checkLimits(limits, definitions, ['platform', 'limits'], violations);
  const others = [...Object.values(plans), ...(routes ?? [])].flatMap((part) => part.limits ?? []);
  for (const [index, limit] of limits.entries()) {
    const at = ['platform', 'limits', index];
    if (limit.per !== 'global' && !(Array.isArray(limit.per) && limit.per.join() === 'global')) {
      violations.add([...at, 'per'], 'must be global: the platform is counted as a whole');
    }
    if (limit.by_plan !== undefined) violations.add([...at, 'by_plan'], 'belongs on a route', 'key');
    if (others.some(({ name }) => name === limit.name)) {
      violations.add(
        [...at, 'name'],
        `"${limit.name}" is also a limit of a plan or route; give it another name`,
      );
    }
    const same = [...others, ...limits].find(({ name }) => shareNames(limit.name).includes(name));
    if (limit.type === 'concurrent' && same !== undefined) {
      violations.add(
        [...at, 'name'],
        `its share has the name of another limit, "${same.name}"; rename one of them`,
      );
    }
  }
}

function checkGroups(
  { groups = {}, plans, routes = [] }: PolicyFile,
  definitions: Definitions,
  violations: Violations,
): void {
  const others = [...Object.values(plans), ...routes].flatMap((part) => part.limits ?? []);
  for (const [name, { limits }] of Object.entries(groups)) {
    const at = ['groups', name, 'limits'];
    checkLimits(limits, definitions, at, violations);
    checkGroup(limits, others, at, violations);
  }
}

function checkServices({ services }: PolicyFile, violations: Violations): void {
  const seen = new Set<string>();
  for (const [index, service] of (services ?? []).entries()) {
    const at = ['services', index];
    if ((service.token_sha256 === undefined) === (service.token_env === undefined)) {
      violations.add(at, 'must have exactly one of token_sha256 and token_env');
    }
    if (seen.has(service.name))
      violations.add([...at, 'name'], `"${service.name}" is in the list twice; names are unique`);
    seen.add(service.name);
  }
}
