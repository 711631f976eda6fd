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
import { readDocument } from './file/violations.ts';
import { validateFile } from './file/validate.ts';
import { startAtZero } from '../runtime/zero-counters.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface LoadOptions {
  /** `optional`: the policy loads without its secrets, to check the file only; no credential is then valid. */
  readonly secrets?: 'required' | 'optional';
}

/** Reads and compiles a policy file. Throws POLICY_INVALID with line, column, field and advice for every violation. */
export async function loadPolicy(path: string, env: Environment, options: LoadOptions = {}): Promise<Policy> {
  return parsePolicy(path, await readPolicyFile(path), env, options);
}

/** The same for a text; `path` is the name of the file in messages. */
export function parsePolicy(path: string, text: string, env: Environment, options: LoadOptions = {}): Policy {
  const { value, violations } = readDocument(path, text);
  const file = validateFile(value, violations);
  violations.throwIfAny();
  // Reached only if the schema fails without an error.
  if (file === null) throw new TollgateError('POLICY_INVALID', `${path}: does not fit the schema`);
  crosscheck(file, violations);
  violations.throwIfAny();
  const policy = compilePolicy(text, file, { env, required: options.secrets !== 'optional' }, violations);
  violations.throwIfAny();
  return policy;
}

export interface PolicyWatch {
  current(): Policy;
  /** Calls the listener after each accepted edit. Returns a function that removes the listener. */
  onChange(listener: (policy: Policy) => void): () => void;
  close(): Promise<void>;
}

export interface WatchOptions {
  readonly logger: Logger;
  readonly registry: Registry;
  /** Time between two checks of the file, for file systems without change events. */
  readonly pollIntervalMs?: number;
}

/**
 * Loads a policy and watches its file: an accepted edit takes effect at once; an invalid edit is logged, counted and
 * refused, and the running policy stays. The directory is watched, not the file, because editors and configuration tools
 * replace files by renaming. Polling covers file systems without change events. Throws POLICY_INVALID if the first
 * version is invalid.
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
  let version = await versionOf(path);
  let reloading: Promise<void> = Promise.resolve();
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
  const scheduleReload = (): void => void (reloading = reloading.then(reload));
  const watcher = watchDirectory(path, scheduleReload, logger);
  const poll = setInterval(() => {
    void versionOf(path).then((current) => {
      if (current === version) return;
      version = current;
      scheduleReload();
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
      await reloading;
    },
  };
}

/** Editors cause bursts of events: `changed` is called once after a short time without events. */
function watchDirectory(path: string, changed: () => void, logger: Logger): { close: () => void } {
  const settleMs = 50;
  let timer: NodeJS.Timeout | undefined;
  const close = (): void => clearTimeout(timer);
  try {
    const watcher = watch(dirname(path), { persistent: false }, (_event, name) => {
      // A mounted Kubernetes volume replaces a link beside the file (`..data`), so such names count as well.
      if (name !== null && name !== basename(path) && !name.startsWith('..')) return;
      clearTimeout(timer);
      timer = setTimeout(changed, settleMs).unref();
    });
    watcher.on('error', (error) =>
      logger.warn({ err: error }, 'policy directory no longer watched; polling continues'),
    );
    return {
      close: () => {
        close();
        watcher.close();
      },
    };
  } catch (error) {
    logger.warn({ err: error }, 'policy directory cannot be watched; polling');
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

/** Changes whenever the file is written or replaced; empty if the file is missing. */
async function versionOf(path: string): Promise<string> {
  try {
    const { mtimeMs, ino, size } = await stat(path);
    return `${mtimeMs}.${ino}.${size}`;
  } catch {
    return '';
  }
}

export function reloadMetrics(registry: Registry): { reloads: Counter<'result'>; loadedAt: Gauge } {
  return {
    reloads: startAtZero(
      new Counter({
        name: 'tollgate_policy_reloads_total',
        help: 'Edits of the policy file, by whether they were accepted or refused.',
        labelNames: ['result'],
        registers: [registry],
      }),
      { result: ['accepted', 'refused'] },
    ),
    loadedAt: new Gauge({
      name: 'tollgate_policy_loaded_timestamp_seconds',
      help: 'Unix time at which the running policy was loaded.',
      registers: [registry],
    }),
  };
}
