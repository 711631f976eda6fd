import type { DecisionAnswer, EventsAnswer } from '../../../../shared/admin-answers/recorded-answers.ts';
import { setTimeout as pause } from 'node:timers/promises';
import { completeFromText } from '../../../../shared/domain/text/complete-from.ts';
import { counted } from '../../../../shared/domain/text/counted.ts';
import { operand, optional } from '../../command.ts';
import type { Command, Invocation, Report } from '../../command.ts';

type RecordedEvent = EventsAnswer['events'][number];

/** Commands that read recorded events. */
export const eventCommands: readonly Command[] = [
  {
    name: 'explain',
    synopsis: 'DECISION',
    summary: 'Explain a decision: the rule, the counters then, and when it would have passed.',
    operands: [1, 1],
    async run(invocation) {
      const id = encodeURIComponent(operand(invocation, 0));
      const data = await invocation.call<DecisionAnswer>('GET', `/admin/v1/decisions/${id}`);
      return { data, text: explanation(data) };
    },
  },
  {
    name: 'events tail',
    synopsis: '[--tenant ID] [--refused] [--count N] [--follow]',
    summary: 'Show the latest recorded events; with --follow also new ones, until it is stopped.',
    operands: [0, 0],
    flags: {
      tenant: { type: 'string', help: 'Only this tenant.' },
      refused: { type: 'boolean', help: 'Only requests over a limit.' },
      count: { type: 'string', help: 'How many to begin with (default 20).' },
      follow: { type: 'boolean', help: 'Prints new events as they are recorded.' },
    },
    example: 'events tail --tenant acme --refused --follow',
    run: tailEvents,
  },
];

function explanation({ event, reason, advice, latest_pass_at: passAt, counters }: DecisionAnswer): string {
  const lines = [
    `${event.time}  ${event.method} ${event.path}  ${event.status} ${event.decision}`,
    `Tenant ${event.tenant_id}, plan ${event.plan}, user ${event.user_id || 'none'}`,
    `API key ${event.api_key || 'none'}, policy ${event.policy_revision || 'not recorded'}`,
    '',
    reason ?? 'The request passed its limits.',
    ...counters.map(({ name, used, limit, window, complete_from: from, passes_at: passes }) =>
      used === null
        ? `“${name}”: the recorded requests do not contain what it counts.`
        : `“${name}”: ${used} of ${counted(limit, 'unit')} were used in the ${window} before it.${from === null ? '' : ` ${completeFromText(from)}`}${passes === null ? '' : ` It would have passed at ${passes}.`}`,
    ),
    ...(passAt === null ? [] : [`It would have passed at the latest at ${passAt}.`]),
    ...(advice === null ? [] : [`What to do: ${advice}`]),
    ...(event.degraded ? ['The node decided without Redis, from its share of the limits.'] : []),
  ];
  return lines.join('\n');
}

const pollMs = 2_000;
/** Events that are recorded later than this after their request are not printed. */
const lookBackSeconds = 60;
const pollCountMax = 1_000;

async function tailEvents(invocation: Invocation): Promise<Report> {
  const follow = invocation.flags['follow'] === true;
  const first = await readEvents(invocation, 86_400, optional(invocation, 'count') ?? '20');
  if (!follow)
    return {
      data: first,
      text: first.events.length === 0 ? 'No events in the last day.' : first.events.map(eventLine).join('\n'),
    };
  const beginning = first.events[0]?.time ?? '';
  let printed = print(invocation, first.events, new Set());
  for (let complete = true; ;) {
    await pause(pollMs);
    const { events, more } = await readEvents(invocation, lookBackSeconds, String(pollCountMax));
    if (more && complete) invocation.print(incompleteNote);
    complete = !more;
    printed = print(
      invocation,
      events.filter(({ time }) => time >= beginning),
      printed,
    );
  }
}

const incompleteNote = {
  data: { incomplete: true },
  text: `There are more than ${pollCountMax} events a minute, so some are left out: add --tenant or --refused.`,
};

/** Prints the events that were not printed before. Returns the ids that the next poll can return again. */
function print(
  invocation: Invocation,
  events: readonly RecordedEvent[],
  printed: ReadonlySet<string>,
): ReadonlySet<string> {
  for (const event of events)
    if (!printed.has(event.event_id)) invocation.print({ data: event, text: eventLine(event) });
  return new Set(events.map(({ event_id: id }) => id));
}

/** The latest events, oldest first. */
async function readEvents(
  invocation: Invocation,
  seconds: number,
  limit: string,
): Promise<{ readonly events: readonly RecordedEvent[]; readonly more: boolean }> {
  const tenant = optional(invocation, 'tenant');
  const query = new URLSearchParams({
    ...{ seconds: String(seconds), limit },
    ...(tenant === undefined ? {} : { tenant_id: tenant }),
    ...(invocation.flags['refused'] === true ? { over_limit: 'true' } : {}),
  });
  const answer = await invocation.call<EventsAnswer>('GET', `/admin/v1/events?${query.toString()}`);
  return { ...answer, events: answer.events.toReversed() };
}

function eventLine(event: RecordedEvent): string {
  const by = event.limited_by.length === 0 ? '' : ` by ${event.limited_by.join(', ')}`;
  const user = event.user_id === '' ? '' : ` ${event.user_id}`;
  return `${event.time}  ${event.tenant_id}${user}  ${event.method} ${event.path}  ${event.status} ${event.decision}${by}  ${event.event_id}`;
}
