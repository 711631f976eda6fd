import type { AlertRule } from './rule.ts';

/** Alerts about clocks by which decisions are made and events are dated. */
export const clockRules: readonly AlertRule[] = [
  {
    name: 'TollgateClockWrong',
    severity: 'warning',
    query: 'max by (instance, clock) (abs(tollgate_clock_difference_seconds))',
    fires: 'above',
    threshold: 5,
    forMinutes: 1,
    summary: 'As {{ .Labels.instance }} sees it, the clock of {{ .Labels.clock }} is VALUE off',
    format: 'duration',
    impact:
      'Where two clocks agree their time is used and nothing is wrong yet; one clock less is left to tell. Redis goes by its own.',
    runbook: 'clock-wrong',
    dashboard: 'fleet',
    panel: 'Clock difference',
    whenAbsent: 'quiet',
  },
  {
    name: 'TollgateRedisClockSetBack',
    severity: 'warning',
    query: 'round(sum(increase(tollgate_redis_stamps_corrected_total[10m])))',
    fires: 'above',
    threshold: 0,
    forMinutes: 0,
    summary: 'VALUE windows in Redis had stamps ahead of its clock',
    format: 'number',
    impact:
      'The clock of Redis was wrong for a while. A window that was full then refuses for up to one span more, and tenants may have passed one limit more.',
    runbook: 'clock-wrong',
    dashboard: 'fleet',
    panel: 'Stamps corrected in Redis',
    whenAbsent: 'quiet',
  },
];
