import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { AttributeSource } from '../../domain/policy.ts';
import { closed } from './schema-parts.ts';
import type { Violations } from './violations.ts';

const attributesMax = 8;
const namePattern = '^[a-z][a-z0-9_]{0,47}$';

const attributeFile = Type.Object(
  {
    from: Type.Optional(Type.Literal('model', { description: "model: the model's name in the request" })),
    claim: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'the name of a claim of the token' }),
    ),
    header: Type.Optional(
      Type.String({
        pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$",
        description: 'the name of a header field of the request',
      }),
    ),
  },
  { ...closed, description: 'an attribute: { from: model }, { claim: … } or { header: … }' },
);

/** The value of `attributes` in a policy file. */
export const attributesFile = Type.Record(Type.String({ pattern: namePattern }), attributeFile, {
  ...closed,
  maxProperties: attributesMax,
  description: `a mapping of up to ${attributesMax} attributes by name, which have up to 48 lower-case letters, digits or "_"`,
});

type AttributesFile = Static<typeof attributesFile>;

/** Words of `per` that have a meaning of their own. */
const reserved = new Set(['tenant', 'user', 'ip', 'global', 'key', 'group']);

export function checkAttributes(
  file: AttributesFile | undefined,
  hasTokens: boolean,
  violations: Violations,
): void {
  for (const [name, { from, claim, header }] of Object.entries(file ?? {})) {
    const at = ['attributes', name];
    if (reserved.has(name))
      violations.add(at, `"${name}" has a meaning of its own in "per"; choose another name`, 'key');
    if ([from, claim, header].filter((source) => source !== undefined).length !== 1)
      violations.add(at, 'must have exactly one of from, claim and header');
    if (claim !== undefined && !hasTokens)
      violations.add([...at, 'claim'], 'needs tokens; add identity.jwt, or use another source', 'key');
  }
}

/** Attributes by name, with the API key, which every policy has. */
export function compileAttributes(file: AttributesFile = {}): ReadonlyMap<string, AttributeSource> {
  const sources = Object.entries(file).map(([name, { claim, header }]): [string, AttributeSource] => {
    if (claim !== undefined) return [name, { kind: 'claim', claim }];
    return [
      name,
      header === undefined ? { kind: 'model' } : { kind: 'header', header: header.toLowerCase() },
    ];
  });
  return new Map<string, AttributeSource>([['key', { kind: 'key' }], ...sources]);
}

/** The attributes that are claims of a token. */
export function claimsOf(attributes: ReadonlyMap<string, AttributeSource>): ReadonlyMap<string, string> {
  return new Map(
    [...attributes].flatMap(([name, source]): [string, string][] =>
      source.kind === 'claim' ? [[name, source.claim]] : [],
    ),
  );
}
