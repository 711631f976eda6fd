import { Ajv } from 'ajv';
import { Type } from 'typebox';
import type { Static, TObject } from 'typebox';
import { TollgateError } from './errors.ts';

/** What a secret has at the least, as those that the policy names. */
const secretBytesMin = 32;

/** A variable that holds a secret. */
export function secretVariable(lengthMax = 4_096) {
  return Type.String({ secret: true, maxLength: lengthMax });
}

/**
 * Reads the variables a schema names, with its defaults, and gathers every mistake into one error.
 * Only `main.ts` calls this: nothing else reads the environment.
 */
export function readConfig<Schema extends TObject>(schema: Schema, env: NodeJS.ProcessEnv): Static<Schema> {
  const known: Record<string, unknown> = {};
  for (const name of Object.keys(schema.properties)) {
    if (env[name] !== undefined && env[name] !== '') known[name] = env[name];
  }
  const ajv = new Ajv({ allErrors: true, useDefaults: true, coerceTypes: true });
  ajv.addKeyword({
    keyword: 'secret',
    type: 'string',
    validate: (_: unknown, text: string) => Buffer.byteLength(text) >= secretBytesMin,
    error: {
      message: `must have ${secretBytesMin} bytes or more; use random ones (openssl rand -base64 48)`,
    },
  });
  const validate = ajv.compile(schema);
  if (!validate(known)) {
    const mistakes = (validate.errors ?? []).map(
      (error) =>
        `  ${error.instancePath.slice(1) || 'environment'} ${error.message ?? 'is invalid'}${choices(error.params)}`,
    );
    throw new TollgateError('CONFIG_INVALID', `The environment is not complete:\n${mistakes.join('\n')}`);
  }
  return known as Static<Schema>;
}

function choices(params: Readonly<Record<string, unknown>>): string {
  const values = params['allowedValues'];
  return Array.isArray(values) ? `: ${values.filter((value) => value !== '').join(', ')}` : '';
}
