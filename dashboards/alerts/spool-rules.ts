import type { AlertRule } from './rule.ts';

/** Alerts about events in a gateway's spool that are not yet in Kafka. */
export const spoolRules: readonly AlertRule[] = [
  {
    name: 'TollgateSpoolFilling',
    severity: 'warning',
    query: 'max by (instance) (tollgate_spool_oldest_age_seconds)',
    fires: 'above',
    threshold: 60,
    forMinutes: 1,
    summary: '{{ .Labels.instance }} has events that are VALUE old',
    format: 'duration',
    impact:
      'Requests are not affected. Their usage waits on this node until Kafka accepts it; when the spool is full, the oldest events are dropped.',
    action: 'Check that Kafka accepts records and that every partition has a leader.',
    runbook: 'spool-filling',
    dashboard: 'pipeline',
    panel: 'Age of the spool',
    whenAbsent: 'keeps',
  },
  {
    name: 'TollgateSpoolMemoryOnly',
    severity: 'critical',
    query: 'max by (instance) (tollgate_spool_memory_only)',
    fires: 'above',
    threshold: 0,
    forMinutes: 1,
    summary: 'The disk of the spool on {{ .Labels.instance }} accepts no events (VALUE)',
    format: 'number',
    impact:
      'Requests are served and their events go to Kafka from memory: a crash loses the events that Kafka does not have yet.',
    action: 'Repair the disk and keep the gateway running. Never delete files of the spool.',
    runbook: 'spool-disk',
    dashboard: 'pipeline',
    panel: 'Events in memory only',
    whenAbsent: 'keeps',
  },
  {
    name: 'TollgateEventsLost',
    severity: 'critical',
    query:
      'round(sum by (instance) (increase(tollgate_spool_dropped_total[10m]) or increase(tollgate_events_unwritten_total[10m])))',
    fires: 'above',
    threshold: 0,
    forMinutes: 0,
    summary: '{{ .Labels.instance }} lost VALUE usage events',
    format: 'number',
    impact: 'These requests were served and will not be in any total.',
    action:
      'Find the reason by metric: full spool, disk, or stopped process. Send the missing sequence numbers to finance.',
    runbook: 'events-lost',
    dashboard: 'pipeline',
    panel: 'Events lost',
    whenAbsent: 'quiet',
  },
];
