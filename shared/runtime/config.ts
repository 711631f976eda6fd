import { Ajv } from 'ajv';
import { Type } from 'typebox';
import type { Static, TObject } from 'typebox';
import { TollgateError } from './errors.ts';

const secretBytesMin = 32;

/** Environment variables of every service. */
export const serviceVariables = {
  HOST: Type.String({
    default: '127.0.0.1',
    description: 'Address that the listeners bind. `::` accepts IPv6 and IPv4, `0.0.0.0` IPv4 only.',
  }),
  LOG_LEVEL: Type.String({
    default: 'info',
    description: 'Lowest level that is logged: `fatal`, `error`, `warn`, `info`, `debug` or `trace`.',
  }),
};

export function portVariable(port: number, description: string) {
  return Type.Integer({ minimum: 0, maximum: 65_535, default: port, description });
}

export function opsPortVariable(port: number) {
  return portVariable(port, 'Port of `/healthz`, `/readyz` and `/metrics`.');
}

/** A secret has at least 32 bytes, like every secret that the policy names. */
export function secretVariable(description: string, lengthMax = 4_096) {
  return Type.String({ secret: true, maxLength: lengthMax, description });
}

/**
 * Reads the variables of a schema, with its defaults. Throws CONFIG_INVALID with every violation. Only `main.ts` calls
 * this function: no other file reads the environment.
 */
export function readConfig<Schema extends TObject>(schema: Schema, env: NodeJS.ProcessEnv): Static<Schema> {
  const values: Record<string, unknown> = {};
  for (const name of Object.keys(schema.properties)) {
    if (env[name] !== undefined && env[name] !== '') values[name] = env[name];
  }
  // Without `strictNumbers`, bounds apply to Infinity too, which the text `1e309` becomes.
  const ajv = new Ajv({ allErrors: true, useDefaults: true, coerceTypes: true, strictNumbers: false });
  ajv.addKeyword({
    keyword: 'secret',
    type: 'string',
    validate: (_: unknown, text: string) => Buffer.byteLength(text) >= secretBytesMin,
    error: {
      message: `must have ${secretBytesMin} bytes or more; use random ones (openssl rand -base64 48)`,
    },
  });
  const validate = ajv.compile(schema);
  if (!validate(values)) {
    const violations = (validate.errors ?? []).map(
      (error) =>
        `  ${error.instancePath.slice(1) || 'environment'} ${error.message ?? 'is invalid'}${choices(error.params)}`,
    );
    throw new TollgateError('CONFIG_INVALID', `The environment is not complete:\n${violations.join('\n')}`);
  }
  return values as Static<Schema>;
}

function choices(params: Readonly<Record<string, unknown>>): string {
  const allowed = params['allowedValues'];
  return Array.isArray(allowed) ? `: ${allowed.filter((value) => value !== '').join(', ')}` : '';
}
