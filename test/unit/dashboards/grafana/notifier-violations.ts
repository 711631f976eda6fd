import { parse } from 'yaml';
import { list, object, text } from './provisioned-files.ts';
import type { Json, Provisioned } from './provisioned-files.ts';

/**
 * Alerts that no system or both systems send: Alertmanager sends the rules of Prometheus if Prometheus is configured to
 * post to it, and Grafana sends its rules whose route in the notification policy is not muted.
 */
export function notifierViolations(files: ReadonlyMap<string, string>, provisioned: Provisioned): string[] {
  const read = (path: string): unknown => parse(files.get(path) ?? '');
  const posts = list(object(read('prometheus/prometheus.yml'), 'alerting'), 'alertmanagers').length > 0;
  const evaluated = list(read('prometheus/rules.yml'), 'groups').flatMap((group) => list(group, 'rules'));
  const byAlertmanager = new Set(posts ? evaluated.map((rule) => text(rule, 'alert')) : []);
  const byGrafana = new Set(
    provisioned.ruleGroups
      .flatMap((group) => list(group, 'rules').map((rule) => ({ rule, folder: text(group, 'folder') })))
      .filter(({ rule, folder }) => provisioned.policies.some((policy) => isSent(policy, rule, folder)))
      .map(({ rule }) => text(rule, 'title')),
  );
  const names = new Set([
    ...evaluated.map((rule) => text(rule, 'alert')).filter((name) => name !== ''),
    ...provisioned.ruleGroups.flatMap((group) => list(group, 'rules').map((rule) => text(rule, 'title'))),
  ]);
  return [
    ...[...names].flatMap((name) => {
      const count = Number(byAlertmanager.has(name)) + Number(byGrafana.has(name));
      if (count === 1) return [];
      return [`alert ${name} is sent by ${count === 0 ? 'no system' : 'Grafana and by Alertmanager'}`];
    }),
    ...missingMuteTimes(provisioned),
  ];
}

/** True if the first matching route of the policy is not muted. Grafana evaluates routes like Alertmanager. */
function isSent(policy: Json, rule: Json, folder: string): boolean {
  const labels: Json = { ...object(rule, 'labels'), alertname: rule['title'], grafana_folder: folder };
  const route = list(policy, 'routes').find(({ object_matchers: matchers }) =>
    (Array.isArray(matchers) ? (matchers as [string, string, string][]) : []).every(
      ([label, operator, value]) => {
        if (operator !== '=') throw new Error(`the check supports only the operator =, not ${operator}`);
        return labels[label] === value;
      },
    ),
  );
  return !Array.isArray(route?.['mute_time_intervals']);
}

function missingMuteTimes({ policies, muteTimes }: Provisioned): string[] {
  const names = new Set(muteTimes.map((time) => text(time, 'name')));
  return policies
    .flatMap((policy) => list(policy, 'routes'))
    .flatMap(({ mute_time_intervals: used }) => (Array.isArray(used) ? (used as string[]) : []))
    .filter((name) => !names.has(name))
    .map((name) => `policy: mute time ${name} does not exist`);
}
