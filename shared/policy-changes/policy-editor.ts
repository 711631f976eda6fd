import { readFile } from 'node:fs/promises';
import { storePolicyRevision } from '../clickhouse/queries/policy/revisions.ts';
import type { ClickHouse } from '../clickhouse/client.ts';
import type { Policy } from '../domain/policy.ts';
import type { AuditLog } from '../kafka/audit-log.ts';
import type { Author } from '../domain/topics/audit-entry.ts';
import { parsePolicy } from '../policy/load.ts';
import type { PolicyWatch } from '../policy/load.ts';
import { TollgateError, messageOf } from '../runtime/errors.ts';
import type { Clock } from '../runtime/time/clock.ts';
import { rejection, success } from '../tenants/outcome.ts';
import type { Outcome } from '../tenants/outcome.ts';
import { isReplaceable, replaceFile } from './write-file.ts';

/** A text for the policy file, with the result of its check. */
export type CheckedPolicy =
  | { readonly valid: true; readonly policy: Policy }
  /** Violations with line, column and field, one on each line. */
  | { readonly valid: false; readonly violations: readonly string[] };

export interface PolicyChange {
  readonly text: string;
  /** The revision in force that the operator saw. If another one is in force now, the change is rejected. */
  readonly expectedRevision: string;
  readonly author: Author;
  readonly reason: string;
}

/** Checks texts for the policy file, and puts one live. */
export interface PolicyEditor {
  inForce(): { readonly policy: Policy; readonly text: string; readonly file: string };
  /** The latest edit of the file that was refused since this process started; null if the file is in force. */
  refused(): { readonly text: string; readonly violations: readonly string[] } | null;
  isWritable(): Promise<boolean>;
  /**
   * Checks a text. `secrets: 'required'` also reports secrets of the environment that are missing or too short. That is for
   * administrators only: the violations would show other operators which variables exist, and their lengths.
   */
  check(text: string, secrets?: 'required' | 'optional'): CheckedPolicy;
  /** Replaces the policy file. Resolves when the policy is in force in this process. */
  putLive(change: PolicyChange): Promise<Outcome<{ readonly revision: string }>>;
}

export interface PolicyEditorOptions {
  readonly watch: PolicyWatch;
  readonly file: string;
  /** Whether the environment permits to write the file. */
  readonly isPermitted: boolean;
  /** The environment, from which the policy reads its secrets. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clickhouse: Pick<ClickHouse, 'insert'>;
  readonly audit: Pick<AuditLog, 'append'>;
  readonly clock: Clock;
}

export const policyTextLengthMax = 200_000;
const effectMsMax = 10_000;

export function createPolicyEditor(options: PolicyEditorOptions): PolicyEditor {
  const { watch, file, isPermitted, env, clickhouse, audit, clock } = options;
  let latest: Promise<unknown> = Promise.resolve();
  const isWritable = async (): Promise<boolean> => isPermitted && (await isReplaceable(file));
  return {
    inForce: () => ({ policy: watch.current(), text: watch.text(), file }),
    refused: () => watch.refused(),
    isWritable,
    check: (text, secrets = 'optional') => checkPolicy(text, secrets === 'required' ? env : null),
    putLive: (change) => {
      // One change at a time: the next one is compared with the policy that this one put live.
      const result = latest.then(() => putLive(change));
      latest = result.catch(() => undefined);
      return result;
    },
  };

  async function putLive(change: PolicyChange): Promise<Outcome<{ readonly revision: string }>> {
    const { text, expectedRevision, author, reason } = change;
    if (!(await isWritable()))
      return rejection(
        409,
        'The policy file cannot be written here',
        `Change ${file} where it is deployed from, for example in the ConfigMap or in the repository; it takes effect without a restart. To write it from here, set TOLLGATE_POLICY_WRITABLE=true and make the file writable.`,
      );
    if (reason.trim() === '')
      return rejection(422, 'A reason is missing', 'State why the policy is changed.', 'reason');
    const checked = checkPolicy(text, env);
    if (!checked.valid)
      return rejection(422, 'The policy has violations', checked.violations.join('\n'), 'text');
    const { revision } = checked.policy;
    if (!(await isUnchanged(expectedRevision))) return staleRejection(expectedRevision);
    if (revision === expectedRevision)
      return rejection(409, 'Nothing to change', 'This text is in force already.', 'text');
    // The history and the audit trail have the change before it takes effect. A crash between the two leaves an entry without an effect.
    const at = new Date(clock.now()).toISOString();
    const entry = {
      at,
      revision,
      actor: author.actor,
      reason,
      file,
      text,
      outcome: 'accepted' as const,
      violations: '',
    };
    await storePolicyRevision(clickhouse, entry);
    const detail = `Policy ${revision} put live in place of ${expectedRevision}`;
    const facts = { revision, before: expectedRevision };
    await audit.append({ ...author, action: 'policy-live', detail, reason, facts });
    if (!(await replaceFile(file, text, () => isUnchanged(expectedRevision))))
      return staleRejection(expectedRevision);
    return (await inEffect(watch, revision))
      ? success({ revision })
      : rejection(
          503,
          'Not in force yet',
          `The file has the revision ${revision}, but this process has not loaded it.`,
        );
  }

  /** Whether the revision is in force, and the file has its text, or an edit that this process has read and refused. */
  async function isUnchanged(revision: string): Promise<boolean> {
    const text = await readFile(file, 'utf8');
    if (text !== watch.text() && text !== watch.refused()?.text) return false;
    return watch.current().revision === revision;
  }

  function staleRejection(expectedRevision: string): Outcome<never> {
    const { revision } = watch.current();
    return rejection(
      412,
      'The policy changed meanwhile',
      revision === expectedRevision
        ? `${file} has a text that is not in force yet: compare again.`
        : `${revision} is in force, not ${expectedRevision}: compare again.`,
    );
  }
}

/** Checks a text for the policy file. With `env`, the secrets that it names must exist. */
export function checkPolicy(
  text: string,
  env: Readonly<Record<string, string | undefined>> | null,
): CheckedPolicy {
  try {
    const secrets = env === null ? 'optional' : 'required';
    return { valid: true, policy: parsePolicy('policy', text, env ?? {}, { secrets }) };
  } catch (error) {
    if (error instanceof TollgateError && error.code === 'POLICY_INVALID')
      return { valid: false, violations: messageOf(error).split('\n') };
    throw error;
  }
}

/** Resolves with true when the revision is in force in this process, with false if that takes too long. */
async function inEffect(watch: PolicyWatch, revision: string): Promise<boolean> {
  if (watch.current().revision === revision) return true;
  return new Promise((resolve) => {
    const end = (isInForce: boolean): void => {
      clearTimeout(timer);
      remove();
      resolve(isInForce);
    };
    const timer = setTimeout(() => end(false), effectMsMax);
    const remove = watch.onChange((policy) => {
      if (policy.revision === revision) end(true);
    });
  });
}
