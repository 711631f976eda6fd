import type { RecordedEvent } from '../../clickhouse/queries/recorded/recorded-events.ts';
import { attributeNames } from '../../domain/limit.ts';
import type { Attributes, Limit } from '../../domain/limit.ts';
import type { Policy } from '../../domain/policy.ts';

/**
 * Why the recorded decision of a request is kept:
 * - `service`: a service token bypasses every limit.
 * - `not_a_limit`: it was refused because of a block, its credential, the scope of its API key or its form.
 * - `unavailable`: it was refused because Redis did not answer.
 * - `own_call`: a call of the API listener, which has limits of its own.
 * - `envoy`: Envoy's rate limit service decides by descriptors, which events do not have.
 * - `preflight`: a preflight of a browser, which has a limit of its own.
 * - `attributes`: it was refused by a limit that counts attributes which events do not have.
 */
export const keptReasons = [
  'service',
  'not_a_limit',
  'unavailable',
  'own_call',
  'envoy',
  'preflight',
  'attributes',
] as const;
export type KeptReason = (typeof keptReasons)[number];

const otherRefusals: ReadonlyMap<string, KeptReason> = new Map([
  ['blocked', 'not_a_limit'],
  ['unauthenticated', 'not_a_limit'],
  ['out_of_scope', 'not_a_limit'],
  ['invalid', 'not_a_limit'],
  ['unavailable', 'unavailable'],
]);

/** Returns why the decision of an event is kept, whatever the limits of the policy are; null if it is made again. */
export function keptReason(event: RecordedEvent, policy: Policy): KeptReason | null {
  const { decision, limitedBy, entrypoint } = event;
  if (decision === 'bypassed' && event.service !== '') return 'service';
  if (entrypoint === 'api') return 'own_call';
  if (entrypoint === 'rls') return 'envoy';
  if (decision === 'limited') {
    const reason = otherRefusals.get(limitedBy[0] ?? '');
    if (reason !== undefined) return reason;
  }
  return isPreflight(event, policy) ? 'preflight' : null;
}

/** An event of a preflight that passed has no units, and one that was refused names the limit of preflights. */
function isPreflight({ method, units, decision, limitedBy }: RecordedEvent, { preflight }: Policy): boolean {
  if (method !== 'OPTIONS') return false;
  return decision === 'limited' ? limitedBy.includes(preflight.name) : decision !== 'bypassed' && units === 0;
}

/** An attribute of a policy, and the field of an event with its value. */
interface RecordedAttribute {
  readonly name: string;
  readonly field: 'apiKey' | 'model';
}

const attributesOf = new WeakMap<Policy, readonly RecordedAttribute[]>();

/** The attributes of a policy whose values are in events: events have no claims and no header fields. */
function recordedAttributesOf(policy: Policy): readonly RecordedAttribute[] {
  let attributes = attributesOf.get(policy);
  if (attributes === undefined) {
    attributes = [...policy.attributes].flatMap(([name, { kind }]): RecordedAttribute[] => {
      if (kind === 'key') return [{ name, field: 'apiKey' }];
      return kind === 'model' ? [{ name, field: 'model' }] : [];
    });
    attributesOf.set(policy, attributes);
  }
  return attributes;
}

/** Values of the attributes that are in an event; undefined if the policy counts none. */
export function recordedAttributes(
  event: Pick<RecordedEvent, 'apiKey' | 'model'>,
  policy: Policy,
): Attributes | undefined {
  if (!policy.countsAttributes) return undefined;
  return Object.fromEntries(recordedAttributesOf(policy).map(({ name, field }) => [name, event[field]]));
}

/** Whether the events have all attributes that a limit counts. */
export function isEvaluable(limit: Limit, policy: Policy): boolean {
  const recorded = recordedAttributesOf(policy);
  return attributeNames(limit).every((name) => recorded.some((attribute) => attribute.name === name));
}
