import { watch } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Policy } from '../domain/policy.ts';
import { TollgateError, messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import { compilePolicy } from './file/compile.ts';
import { crosscheck } from './file/crosscheck.ts';
import { registerLimitGauge } from './limit-gauge.ts';
import { readDocument } from './file/mistakes.ts';
import { validateFile } from './file/validate.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface LoadOptions {
  /** `optional` lets a policy load without its secrets, to check the file alone; nothing then verifies. */
  readonly secrets?: 'required' | 'optional';
}

/** Reads and compiles a policy file. Throws POLICY_INVALID with line, column, field and advice for every mistake. */
export async function loadPolicy(path: string, env: Environment, options: LoadOptions = {}): Promise<Policy> {
  return parsePolicy(path, await readPolicyFile(path), env, options);
}

/** The same for a text at hand; `path` is how mistakes name it. */
export function parsePolicy(path: string, text: string, env: Environment, options: LoadOptions = {}): Policy {
  const { value, mistakes } = readDocument(path, text);
  const file = validateFile(value, mistakes);
  mistakes.throwIfAny();
  // Unreachable but for a schema that fails without saying why.
  if (file === null) throw new TollgateError('POLICY_INVALID', `${path}: does not fit the schema`);
  crosscheck(file, mistakes);
  mistakes.throwIfAny();
  const policy = compilePolicy(text, file, { env, required: options.secrets !== 'optional' }, mistakes);
  mistakes.throwIfAny();
  return policy;
}

export interface PolicyWatch {
  current(): Policy;
  /** Called after each accepted edit. Returns how to stop being called. */
  onChange(listener: (policy: Policy) => void): () => void;
  close(): Promise<void>;
}

export interface WatchOptions {
  readonly logger: Logger;
  readonly registry: Registry;
  /** How often the file is looked at where the file system tells nothing. */
  readonly pollIntervalMs?: number;
}

/**
 * Loads a policy and follows its file: an accepted edit takes effect at once, a bad one is logged, counted and
 * refused while the running policy stays. The folder is watched, not the file, because editors and configuration
 * tools replace files by renaming; a poll stands behind it for file systems that tell nothing. Throws
 * POLICY_INVALID where there is no good policy to begin with.
 */
export async function watchPolicy(
  path: string,
  env: Environment,
  options: WatchOptions,
): Promise<PolicyWatch> {
  const { logger, registry, pollIntervalMs = 2_000 } = options;
  const metrics = reloadMetrics(registry);
  let text = await readPolicyFile(path);
  let policy = parsePolicy(path, text, env);
  let refusedText: string | null = null;
  let seen = await stampOf(path);
  let reading: Promise<void> = Promise.resolve();
  const listeners = new Set<(policy: Policy) => void>();
  metrics.loadedAt.setToCurrentTime();
  registerLimitGauge(registry, () => policy);

  const reload = async (): Promise<void> => {
    try {
      const next = await readPolicyFile(path);
      if (next === text || next === refusedText) return;
      refusedText = next;
      policy = parsePolicy(path, next, env);
      [text, refusedText] = [next, null];
      metrics.reloads.inc({ result: 'accepted' });
      metrics.loadedAt.setToCurrentTime();
      logger.info({ path, revision: policy.revision }, 'policy reloaded');
      for (const listener of listeners) listener(policy);
    } catch (error) {
      metrics.reloads.inc({ result: 'refused' });
      logger.error(
        { path, revision: policy.revision },
        `policy edit refused, the running policy stays: ${messageOf(error)}`,
      );
    }
  };
  const look = (): void => void (reading = reading.then(reload));
  const watcher = watchFolder(path, look, logger);
  const poll = setInterval(() => {
    void stampOf(path).then((stamp) => {
      if (stamp === seen) return;
      seen = stamp;
      look();
    });
  }, pollIntervalMs).unref();
  return {
    current: () => policy,
    onChange: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close: async () => {
      watcher.close();
      clearInterval(poll);
      await reading;
    },
  };
}

/** Events come in bursts while an editor writes: one look when it has been quiet for a moment. */
function watchFolder(path: string, changed: () => void, logger: Logger): { close: () => void } {
  const settleMs = 50;
  let timer: NodeJS.Timeout | undefined;
  const close = (): void => clearTimeout(timer);
  try {
    const watcher = watch(dirname(path), { persistent: false }, (_event, name) => {
      // A mounted Kubernetes volume swaps a link beside the file (`..data`), so other names count as well.
      if (name !== null && name !== basename(path) && !name.startsWith('..')) return;
      clearTimeout(timer);
      timer = setTimeout(changed, settleMs).unref();
    });
    watcher.on('error', (error) =>
      logger.warn({ err: error }, 'policy folder no longer watched; polling goes on'),
    );
    return {
      close: () => {
        close();
        watcher.close();
      },
    };
  } catch (error) {
    logger.warn({ err: error }, 'policy folder cannot be watched; polling');
    return { close };
  }
}

async function readPolicyFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new TollgateError('POLICY_INVALID', `${path}: cannot be read: ${messageOf(cause)}`, { cause });
  }
}

/** Changes whenever the file was written or replaced; empty where it is missing. */
async function stampOf(path: string): Promise<string> {
  try {
    const { mtimeMs, ino, size } = await stat(path);
    return `${mtimeMs}.${ino}.${size}`;
  } catch {
    return '';
  }
}

function reloadMetrics(registry: Registry): { reloads: Counter<'result'>; loadedAt: Gauge } {
  return {
    reloads: new Counter({
      name: 'tollgate_policy_reloads_total',
      help: 'Edits of the policy file, by whether they were accepted or refused.',
      labelNames: ['result'],
      registers: [registry],
    }),
    loadedAt: new Gauge({
      name: 'tollgate_policy_loaded_timestamp_seconds',
      help: 'Unix time at which the running policy was loaded.',
      registers: [registry],
    }),
  };
}
