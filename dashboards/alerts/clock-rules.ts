import type { AlertRule } from './rule.ts';

/** Alerts about the clocks from which decisions and events get their times. */
export const clockRules: readonly AlertRule[] = [
  {
    name: 'TollgateClockWrong',
    severity: 'warning',
    query: 'max by (instance, clock) (abs(tollgate_clock_difference_seconds))',
    fires: 'above',
    threshold: 5,
    forMinutes: 1,
    summary: '{{ .Labels.instance }} measures that the clock of {{ .Labels.clock }} is VALUE off',
    format: 'duration',
    impact:
      'Nothing is wrong yet while two other clocks agree: their time is used. Redis decides by its own clock.',
    action: 'Set this clock by NTP. Services notice it within seconds and need no restart.',
    runbook: 'clock-wrong',
    dashboard: 'fleet',
    panel: 'Clock difference',
    whenAbsent: 'keeps',
  },
  {
    name: 'TollgateRedisClockSetBack',
    severity: 'warning',
    query: 'round(sum(increase(tollgate_redis_stamps_corrected_total[10m])))',
    fires: 'above',
    threshold: 0,
    forMinutes: 0,
    summary: 'VALUE {window|windows} in Redis had {a timestamp|timestamps} ahead of its clock',
    format: 'count',
    impact:
      'The clock of Redis was wrong for a while. A window that was full refuses for up to one more window length, and each tenant may have passed one more limit per window.',
    action: 'Set the clock of Redis by NTP. Reset a tenant that must not wait.',
    runbook: 'clock-wrong',
    dashboard: 'fleet',
    panel: 'Timestamps corrected in Redis',
    whenAbsent: 'quiet',
  },
];
