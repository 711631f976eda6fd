import type {
  BacktestAnswer,
  PolicyAnswer,
  RevisionAnswer,
} from '../../../shared/admin-answers/policy-answers.ts';
import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import type { BacktestResult, GroupEffect } from '../../../shared/backtest/result.ts';
import { diffText } from '../../../shared/policy-changes/line-diff.ts';
import { revisionOf } from '../../../shared/policy/file/compile.ts';
import { loadPolicy } from '../../../shared/policy/load.ts';
import { messageOf } from '../../../shared/runtime/errors.ts';
import type { Command, Invocation } from '../command.ts';
import { UsageError, operand, optional, required, table, timeOf } from '../command.ts';
import { count, counted } from '../../../shared/domain/text/counted.ts';
import { shadowCommand } from './policy-shadow.ts';

export const policyCommands: readonly Command[] = [
  {
    name: 'policy check',
    synopsis: 'FILE',
    summary: 'Check a policy file; every violation is named with its line and field.',
    operands: [1, 1],
    example: 'policy check policies/default.yaml',
    async run(invocation) {
      const path = operand(invocation, 0);
      const policy = await loadPolicy(path, {}, { secrets: 'optional' });
      const data = {
        valid: true,
        revision: policy.revision,
        plans: [...policy.plans.keys()],
        routes: policy.routes.map((route) => route.match),
        mode: policy.mode,
      };
      return {
        data,
        text: `${path} is valid: plans ${data.plans.join(', ')}; ${data.routes.length} routes; mode ${data.mode}; revision ${data.revision}.`,
      };
    },
  },
  {
    name: 'policy show',
    synopsis: '[REVISION]',
    summary: 'Print the policy in force, or another revision of its history.',
    operands: [0, 1],
    async run(invocation) {
      const data = await fetchText(invocation, operand(invocation, 0));
      return { data, text: data.text.trimEnd() };
    },
  },
  {
    name: 'policy diff',
    synopsis: '[REVISION] FILE',
    summary: 'Compare the policy in force, or another revision, with a file.',
    operands: [1, 2],
    example: 'policy diff policies/default.yaml',
    async run(invocation) {
      const { operands } = invocation;
      const before = await fetchText(invocation, operands.length === 2 ? operand(invocation, 0) : '');
      const path = operands.at(-1) ?? '';
      const text = await readText(path);
      const diff = diffText(before.text, text);
      const data = { from: before.revision, to: revisionOf(text), diff };
      return { data, text: diff === '' ? `${path} equals revision ${before.revision}.` : diff };
    },
  },
  {
    name: 'policy backtest',
    synopsis: 'FILE --from TIME --to TIME',
    summary: 'Decide recorded requests again under a proposed policy, and compare the decisions.',
    operands: [1, 1],
    flags: {
      from: { type: 'string', help: 'Start: a time (2026-01-31T12:00:00Z) or a duration before now (24h).' },
      to: { type: 'string', help: 'End; absent: now.' },
      tenant: { type: 'string', help: 'Only the requests of this tenant.' },
    },
    example: 'policy backtest proposed.yaml --from 24h',
    run: backtest,
  },
  shadowCommand,
];

type FetchedText = Pick<PolicyAnswer | RevisionAnswer, 'revision' | 'text'>;

async function fetchText({ callUnchanged: call }: Invocation, revision: string): Promise<FetchedText> {
  return revision === ''
    ? call<PolicyAnswer>('GET', '/admin/v1/policy')
    : call<RevisionAnswer>('GET', `/admin/v1/policy/revisions/${encodeURIComponent(revision)}`);
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${messageOf(error)}`);
  }
}

const pollMs = 500;

async function backtest(invocation: Invocation) {
  const text = await readText(operand(invocation, 0));
  const tenantId = optional(invocation, 'tenant');
  const body = {
    text,
    from: timeOf(required(invocation, 'from'), invocation.nowMs),
    to: timeOf(optional(invocation, 'to') ?? '0m', invocation.nowMs),
    ...(tenantId === undefined ? {} : { tenant_id: tenantId }),
  };
  const path = '/admin/v1/policy/backtest';
  let answer = await invocation.call<BacktestAnswer>('POST', path, body);
  while (answer.state === 'running') {
    await wait(pollMs);
    answer = await invocation.call<BacktestAnswer>('GET', path);
  }
  const { result } = answer;
  if (result === null)
    return { data: answer, text: `The backtest ${answer.state}: ${answer.error ?? ''}`, failed: true };
  return { data: result, text: describeResult(result) };
}

function describeResult(result: BacktestResult): string {
  const { requests, newly_refused: refused, newly_allowed: allowed, agreement, money, tenants } = result;
  const { compared, agreed } = agreement;
  const currency = money.currency ?? '';
  return [
    `${result.from} to ${result.to}: ${counted(requests, 'request')} of ${counted(tenants.total, 'tenant')} under ${result.policy_revision}, in force ${result.revision_in_force}.`,
    `Newly refused: ${count(refused)} (${counted(tenants.with_newly_refused, 'tenant')}). Newly allowed: ${count(allowed)} (${counted(tenants.with_newly_allowed, 'tenant')}).`,
    `Cost of passed requests: ${currency} ${money.cost} → ${money.cost_proposed}. Revenue a month: ${currency} ${money.monthly_revenue} → ${money.monthly_revenue_proposed}.`,
    `Agreement of the replay with the record: ${count(agreed)} of ${counted(compared, 'decision')}.`,
    '',
    table(
      ['LIMIT', 'REFUSED', 'PROPOSED', 'NEWLY'],
      result.by_limit.map((limit) => [
        limit.limit,
        limit.refused,
        limit.refused_proposed,
        limit.newly_refused,
      ]),
    ),
    '',
    groupTable('TENANT', result.by_tenant),
    '',
    groupTable('ROUTE', result.by_route),
    '',
    groupTable('PLAN', result.by_plan),
    '',
    'Not exact:',
    ...result.assumptions.map(
      ({ detail, requests: concerned }) =>
        `- ${detail}${concerned === undefined ? '' : ` (${counted(concerned, 'request')})`}`,
    ),
  ].join('\n');
}

const groupsShown = 20;

function groupTable(title: string, groups: readonly GroupEffect[]): string {
  return table(
    [title, 'REQUESTS', 'REFUSED', 'PROPOSED', 'NEWLY REFUSED', 'NEWLY ALLOWED'],
    groups
      .slice(0, groupsShown)
      .map((group) => [
        group.name,
        ...[group.requests, group.refused, group.refused_proposed, group.newly_refused, group.newly_allowed],
      ]),
  );
}
