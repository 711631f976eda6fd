import { loopback } from '../settings.ts';
import type { AlertRule } from './rule.ts';

const jobs = Object.keys(loopback.services).map((service) => `tollgate-${service}`);
/** PromQL that returns 0 for each job without a target in Prometheus. So a job that disappears raises the alert. */
const missingJobs = jobs.map((job) => `(absent(up{job="${job}"}) - 1)`).join(' or ');

export const serviceDown: AlertRule = {
  name: 'TollgateServiceDown',
  severity: 'critical',
  query: `min by (job, instance) (up{job=~"tollgate-.*"}) or ${missingJobs}`,
  fires: 'below',
  threshold: 1,
  forMinutes: 1,
  // A restarted alerter receives its first heartbeat within a minute.
  keepFiringMinutes: 2,
  summary: '{{ .Labels.job }}{{ with .Labels.instance }} at {{ . }}{{ end }} does not answer (up is VALUE)',
  format: 'number',
  impact: 'Its work waits or is done by other processes. Nothing is lost.',
  action: 'Start it again. If it stops by itself, the last line of its log is the reason.',
  runbook: 'service-down',
  dashboard: 'fleet',
  panel: 'Services up',
  whenAbsent: 'fires',
};

/** Evaluated by Grafana only: Prometheus cannot report its own absence. */
export const prometheusDown: AlertRule = {
  name: 'TollgatePrometheusDown',
  severity: 'critical',
  query: 'vector(1)',
  fires: 'below',
  threshold: 1,
  forMinutes: 1,
  summary: 'Grafana receives no data from Prometheus (result: VALUE)',
  format: 'number',
  impact: 'Requests are served. No other alert can fire or resolve, and dashboards have no current values.',
  action: 'Start Prometheus again, and check its disk. Until then, use the /metrics of each process.',
  runbook: 'prometheus-down',
  dashboard: 'fleet',
  panel: 'Services up',
  whenAbsent: 'fires',
};
