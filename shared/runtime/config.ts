import { Ajv } from 'ajv';
import type { Static, TObject } from 'typebox';
import { TollgateError } from './errors.ts';

/**
 * Reads the variables a schema names, with its defaults, and gathers every mistake into one error.
 * Only `main.ts` calls this: nothing else reads the environment.
 */
export function readConfig<Schema extends TObject>(schema: Schema, env: NodeJS.ProcessEnv): Static<Schema> {
  const known: Record<string, unknown> = {};
  for (const name of Object.keys(schema.properties)) {
    if (env[name] !== undefined && env[name] !== '') known[name] = env[name];
  }
  const validate = new Ajv({ allErrors: true, useDefaults: true, coerceTypes: true }).compile(schema);
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
