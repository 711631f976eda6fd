import type { ClickHouse, ClickHouseReader } from '../../client.ts';

/** A text of the policy file that took effect or was refused. */
export interface PolicyRevision {
  /** ISO 8601. */
  readonly at: string;
  readonly revision: string;
  readonly outcome: 'accepted' | 'refused';
  /** Empty for an edit of the file. */
  readonly actor: string;
  readonly reason: string;
  readonly file: string;
  /** Violations of a refused text, one on each line. */
  readonly violations: string;
}

export interface PolicyText extends PolicyRevision {
  readonly text: string;
}

export async function storePolicyRevision(
  clickhouse: Pick<ClickHouse, 'insert'>,
  revision: PolicyText,
): Promise<void> {
  await clickhouse.insert('policy_revisions', [revision]);
}

/** The latest revisions, newest first. */
export async function listPolicyRevisions(
  clickhouse: ClickHouseReader,
  limit: number,
): Promise<PolicyRevision[]> {
  return clickhouse.query(
    `SELECT at, revision, outcome, actor, reason, file, violations FROM policy_revisions FINAL
    ORDER BY at DESC LIMIT {limit:UInt32}`,
    { limit },
  );
}

/** The latest entry with this revision; null if there is none. */
export async function findPolicyRevision(
  clickhouse: ClickHouseReader,
  revision: string,
): Promise<PolicyText | null> {
  const [found = null] = await clickhouse.query<PolicyText>(
    `SELECT at, revision, outcome, actor, reason, file, violations, text FROM policy_revisions FINAL
    WHERE revision = {revision:String} ORDER BY at DESC LIMIT 1`,
    { revision },
  );
  return found;
}

/** The revision that took effect last; null if none is stored. */
export async function latestAcceptedRevision(clickhouse: ClickHouseReader): Promise<string | null> {
  const [latest] = await clickhouse.query<{ readonly revision: string }>(
    `SELECT revision FROM policy_revisions FINAL WHERE outcome = 'accepted' ORDER BY at DESC LIMIT 1`,
  );
  return latest?.revision ?? null;
}

/** The latest texts that took effect, newest first. */
export async function listAcceptedTexts(
  clickhouse: ClickHouseReader,
  limit: number,
): Promise<Pick<PolicyText, 'at' | 'revision' | 'text'>[]> {
  return clickhouse.query(
    `SELECT at, revision, text FROM policy_revisions FINAL WHERE outcome = 'accepted'
    ORDER BY at DESC LIMIT {limit:UInt32}`,
    { limit },
  );
}
