import { readFile } from 'node:fs/promises';
import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Policy } from '../domain/policy.ts';
import { TollgateError, messageOf } from '../runtime/errors.ts';
import { watchFile } from '../runtime/watch-file.ts';
import type { WatchFileOptions } from '../runtime/watch-file.ts';
import { compilePolicy } from './file/compile.ts';
import { crosscheck } from './file/crosscheck.ts';
import { registerLimitGauge } from './limit-gauge.ts';
import { readDocument } from './file/violations.ts';
import { validateFile } from './file/validate.ts';
import { startAtZero } from '../runtime/zero-counters.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface LoadOptions {
  /** `optional`: the policy is compiled without its secrets, to check the file only. No credential is then valid. */
  readonly secrets?: 'required' | 'optional';
}

/**
 * Reads and compiles a policy file. Throws POLICY_INVALID with all violations, each with line, column, field and
 * advice.
 */
export async function loadPolicy(path: string, env: Environment, options: LoadOptions = {}): Promise<Policy> {
  return parsePolicy(path, await readPolicyFile(path), env, options);
}

/** Compiles the text of a policy file. `path` is the file name in error messages. */
export function parsePolicy(path: string, text: string, env: Environment, options: LoadOptions = {}): Policy {
  const { value, violations } = readDocument(path, text);
  const file = validateFile(value, violations);
  violations.throwIfAny();
  // Unreachable unless the schema rejects a file without reporting an error.
  if (file === null) throw new TollgateError('POLICY_INVALID', `${path}: does not fit the schema`);
  crosscheck(file, violations);
  violations.throwIfAny();
  const policy = compilePolicy(text, file, { env, required: options.secrets !== 'optional' }, violations);
  violations.throwIfAny();
  return policy;
}

/** A text of the policy file with violations. */
export interface RefusedEdit {
  readonly text: string;
  /** With line, column and field. */
  readonly violations: readonly string[];
}

export interface PolicyWatch {
  current(): Policy;
  /** The text of the current policy. */
  text(): string;
  /** The text that the file has now, if it was refused. */
  refused(): RefusedEdit | null;
  /** Calls the listener after each edit that was refused. Returns a function that removes the listener. */
  onRefused(listener: (edit: RefusedEdit) => void): () => void;
  /** Calls the listener after each accepted change of the policy. Returns a function that removes the listener. */
  onChange(listener: (policy: Policy) => void): () => void;
  close(): Promise<void>;
}

export interface WatchOptions extends WatchFileOptions {
  readonly registry: Registry;
}

/**
 * Loads a policy and watches its file. A valid new version takes effect at once. An invalid new version is logged,
 * counted and ignored: the previous policy stays in force. Throws POLICY_INVALID if the first version is invalid.
 */
export async function watchPolicy(
  path: string,
  env: Environment,
  options: WatchOptions,
): Promise<PolicyWatch> {
  const { logger, registry } = options;
  const metrics = reloadMetrics(registry);
  let text = await readPolicyFile(path);
  let policy = parsePolicy(path, text, env);
  let refused: RefusedEdit | null = null;
  const listeners = new Set<(policy: Policy) => void>();
  const refusedListeners = new Set<(edit: RefusedEdit) => void>();
  metrics.loadedAt.setToCurrentTime();
  registerLimitGauge(registry, () => policy);

  const reload = async (): Promise<void> => {
    let next: string | null = null;
    try {
      next = await readPolicyFile(path);
      if (next === text) refused = null;
      if (next === text || next === refused?.text) return;
      policy = parsePolicy(path, next, env);
      [text, refused] = [next, null];
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
      if (next === null) return;
      refused = { text: next, violations: messageOf(error).split('\n') };
      for (const listener of refusedListeners) listener(refused);
    }
  };
  const watcher = await watchFile(path, reload, options);
  return {
    current: () => policy,
    text: () => text,
    refused: () => refused,
    onChange: (listener) => addTo(listeners, listener),
    onRefused: (listener) => addTo(refusedListeners, listener),
    close: () => watcher.close(),
  };
}

function addTo<Listener>(listeners: Set<Listener>, listener: Listener): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

async function readPolicyFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new TollgateError('POLICY_INVALID', `${path}: cannot be read: ${messageOf(cause)}`, { cause });
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
