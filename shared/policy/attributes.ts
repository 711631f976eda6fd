import type { IncomingHttpHeaders } from 'node:http';
import type { Identity } from '../domain/identity.ts';
import { attributeNames } from '../domain/limit.ts';
import type { Attributes, Limit } from '../domain/limit.ts';
import type { Policy } from '../domain/policy.ts';

/** The parts of a request in which attributes are. */
export interface AttributedRequest {
  readonly headers?: IncomingHttpHeaders;
  readonly reserve?: { readonly model: string | null };
  /** Values that a trusted caller states; they have precedence. */
  readonly attributes?: Attributes;
}

/**
 * Values of the attributes that the limits count, by name; a value that the request does not have is an empty text.
 * Undefined if no limit counts an attribute.
 */
export function attributesOf(
  { attributes }: Policy,
  limits: readonly Limit[],
  { headers, reserve, attributes: stated }: AttributedRequest,
  { attributes: credential }: Pick<Identity, 'attributes'>,
): Attributes | undefined {
  const names = namesIn(limits);
  if (names.length === 0) return undefined;
  const found: Record<string, string> = {};
  for (const name of names) {
    const source = attributes.get(name);
    const own = source?.kind === 'header' ? headerText(headers?.[source.header]) : credential?.[name];
    found[name] = stated?.[name] ?? (source?.kind === 'model' ? reserve?.model : own) ?? '';
  }
  return found;
}

const namesOf = new WeakMap<readonly Limit[], readonly string[]>();

function namesIn(limits: readonly Limit[]): readonly string[] {
  let names = namesOf.get(limits);
  if (names === undefined) namesOf.set(limits, (names = [...new Set(limits.flatMap(attributeNames))]));
  return names;
}

function headerText(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}
