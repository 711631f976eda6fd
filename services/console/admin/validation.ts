import { Ajv } from 'ajv';
import type { ValidateFunction } from 'ajv';
import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { recordFormats } from '../../../shared/tenants/record-faults.ts';

const common = { allErrors: true, verbose: true, allowUnionTypes: true, formats: { ...recordFormats } };
const bodies = new Ajv(common);
/** Parameters are text as they arrive, whatever their schema says. */
const parameters = new Ajv({ ...common, coerceTypes: 'array', useDefaults: true });

/** A value of a body is taken as it is: what was accepted can be read back equal. */
export const validatorFor: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }): ValidateFunction =>
  (httpPart === 'body' ? bodies : parameters).compile(schema);
