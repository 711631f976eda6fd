import { readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import { Gauge } from 'prom-client';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { parse } from 'yaml';
import { roles } from '../domain/operators/operator.ts';
import { TollgateError, messageOf } from '../runtime/errors.ts';
import type { Registry } from '../runtime/http/ops.ts';
import type { Logger } from '../runtime/logger.ts';
import { watchFile } from '../runtime/watch-file.ts';

const OperatorsFileSchema = Type.Object(
  {
    operators: Type.Array(
      Type.Object(
        {
          name: Type.String({ minLength: 1, maxLength: 100, pattern: '^[\\x20-\\x7e]+$' }),
          role: Type.Enum([...roles]),
          token_sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
        },
        { additionalProperties: false },
      ),
      { maxItems: 1_000 },
    ),
  },
  { additionalProperties: false },
);

/** An operator of the operators' file. */
export type OperatorEntry = Static<typeof OperatorsFileSchema>['operators'][number];

/** The operators' file, which is read again after each edit. */
export interface OperatorsFile {
  /** The operators of the latest valid version of the file. */
  current(): readonly OperatorEntry[];
  /** The reason why the present version of the file was refused; null: it is in force. */
  refused(): string | null;
  close(): Promise<void>;
}

export interface OperatorsFileOptions {
  readonly logger: Logger;
  readonly registry: Registry;
  readonly pollIntervalMs?: number;
}

/**
 * Reads the operators' file (YAML or JSON) and watches it. A valid new version takes effect at once, also for open
 * sessions. An invalid or missing new version is logged and ignored: the previous operators stay. An empty path means that
 * there is no file. Throws CONFIG_INVALID with every violation if the first version is invalid.
 */
export async function watchOperatorsFile(
  path: string,
  options: OperatorsFileOptions,
): Promise<OperatorsFile> {
  const { logger, registry } = options;
  let entries = await readOperatorsFile(path);
  let refused: string | null = null;
  const gauge = new Gauge({
    name: 'tollgate_operators_file_refused',
    help: '1 if the present version of the file of operators was refused, so that the previous operators stay in force.',
    registers: [registry],
  });
  if (path === '') return { current: () => entries, refused: () => null, close: () => Promise.resolve() };
  const watcher = await watchFile(path, reload, options);
  return { current: () => entries, refused: () => refused, close: () => watcher.close() };

  async function reload(): Promise<void> {
    try {
      const next = await readOperatorsFile(path);
      const isChanged = JSON.stringify(next) !== JSON.stringify(entries);
      [entries, refused] = [next, null];
      gauge.set(0);
      if (isChanged) logger.info({ path, operators: next.length }, 'file of operators reloaded');
    } catch (error) {
      const reason = messageOf(error);
      gauge.set(1);
      if (reason === refused) return;
      refused = reason;
      logger.error({ path }, `edit of the file of operators refused, the previous operators stay: ${reason}`);
    }
  }
}

/** Reads the file; no operators if the path is empty. Throws CONFIG_INVALID with every violation. */
export async function readOperatorsFile(path: string): Promise<readonly OperatorEntry[]> {
  if (path === '') return [];
  let content: unknown;
  try {
    content = parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new TollgateError('CONFIG_INVALID', `TOLLGATE_OPERATORS_FILE: ${messageOf(cause)}`, { cause });
  }
  const ajv = new Ajv({ allErrors: true });
  const validate = ajv.compile<Static<typeof OperatorsFileSchema>>(OperatorsFileSchema);
  if (!validate(content)) {
    const violations = ajv.errorsText(validate.errors, { dataVar: 'file', separator: '\n  ' });
    throw new TollgateError('CONFIG_INVALID', `TOLLGATE_OPERATORS_FILE, ${path}:\n  ${violations}`);
  }
  const { operators } = content;
  for (const field of ['name', 'token_sha256'] as const)
    if (new Set(operators.map((one) => one[field])).size < operators.length)
      throw new TollgateError('CONFIG_INVALID', `TOLLGATE_OPERATORS_FILE, ${path}: a ${field} occurs twice`);
  return operators;
}
