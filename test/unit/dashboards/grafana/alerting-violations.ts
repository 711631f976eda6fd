import { list, object, repeated, text, uidViolation } from './provisioned-files.ts';
import type { Json, Provisioned } from './provisioned-files.ts';

/** Grafana exits if the interval of a rule group is not a multiple of this interval. */
const schedulerSeconds = 10;
const noDataStates = ['Alerting', 'NoData', 'OK', 'KeepLast'];
const errorStates = ['Alerting', 'Error', 'OK', 'KeepLast'];
/** Types of an evaluator with the number of their parameters. */
const evaluators: Readonly<Record<string, number>> = {
  ...{ gt: 1, lt: 1, eq: 1, ne: 1, gte: 1, lte: 1, no_value: 0 },
  ...{ within_range: 2, outside_range: 2, within_range_included: 2, outside_range_included: 2 },
};
const expressionUid = '__expr__';

/** Violations of Grafana's rules in `provisioning/alerting`. */
export function alertingViolations(provisioned: Provisioned): string[] {
  const rules = provisioned.ruleGroups.flatMap((group) => list(group, 'rules'));
  return [
    ...provisioned.ruleGroups.flatMap(groupViolations),
    ...repeated(rules.map((rule) => text(rule, 'uid'))).map((uid) => `rule uid ${uid} is not unique`),
    ...rules.flatMap((rule) => {
      const name = text(rule, 'title') || 'a rule without title';
      return [
        ...stateViolations(rule),
        ...queryViolations(rule, provisioned),
        ...panelViolations(rule, provisioned),
      ].map((violation) => `rule ${name}: ${violation}`);
    }),
    ...contactPointViolations(provisioned),
    ...policyViolations(provisioned),
  ];
}

function groupViolations(group: Json): string[] {
  const name = `rule group ${text(group, 'name')}`;
  const seconds = durationSeconds(text(group, 'interval'));
  const violations: string[] = [];
  if (text(group, 'name') === '' || text(group, 'folder') === '')
    violations.push(`${name}: no name or folder`);
  if (seconds === null || seconds === 0 || seconds % schedulerSeconds !== 0) {
    violations.push(
      `${name}: interval ${text(group, 'interval')} is not a multiple of ${schedulerSeconds} s`,
    );
  }
  return violations;
}

function stateViolations(rule: Json): string[] {
  const violations: string[] = [];
  const uid = uidViolation(text(rule, 'uid'));
  if (uid !== null) violations.push(uid);
  if (text(rule, 'title').length > 190) violations.push('the title has more than 190 characters');
  if (!noDataStates.includes(text(rule, 'noDataState'))) violations.push('noDataState is not valid');
  if (!errorStates.includes(text(rule, 'execErrState'))) violations.push('execErrState is not valid');
  if (durationSeconds(text(rule, 'for')) === null) violations.push('`for` is not a duration');
  return violations;
}

function queryViolations(rule: Json, { dataSourceUids }: Provisioned): string[] {
  const queries = list(rule, 'data');
  const refIds = queries.map((query) => text(query, 'refId'));
  const violations = repeated(refIds).map((refId) => `refId ${refId} is not unique`);
  if (!refIds.includes(text(rule, 'condition'))) violations.push('the condition is no refId of the rule');
  for (const query of queries) {
    const refId = text(query, 'refId');
    const model = object(query, 'model');
    if (text(model, 'refId') !== refId) violations.push(`${refId}: the model has another refId`);
    if (text(query, 'datasourceUid') === expressionUid) {
      violations.push(...expressionViolations(refId, model, refIds));
      continue;
    }
    if (!dataSourceUids.has(text(query, 'datasourceUid'))) {
      violations.push(`${refId}: data source ${text(query, 'datasourceUid')} is not provisioned`);
    }
    const { from, to } = object(query, 'relativeTimeRange');
    if (!(typeof from === 'number' && typeof to === 'number' && from > to && to >= 0)) {
      violations.push(`${refId}: relativeTimeRange is empty`);
    }
  }
  return violations;
}

function expressionViolations(refId: string, model: Json, refIds: readonly string[]): string[] {
  const violations: string[] = [];
  const input = text(model, 'expression');
  if (!refIds.includes(input) || input === refId) violations.push(`${refId}: no query has refId ${input}`);
  if (text(model, 'type') !== 'threshold') return violations;
  for (const condition of list(model, 'conditions')) {
    const evaluator = object(condition, 'evaluator');
    const count = evaluators[text(evaluator, 'type')];
    const params = evaluator['params'];
    if (count === undefined || !Array.isArray(params) || params.length < count) {
      violations.push(`${refId}: the evaluator is not valid`);
    }
  }
  return violations;
}

/** Grafana links an alert to its panel; a wrong id gives a link to nothing. */
function panelViolations(rule: Json, { dashboards }: Provisioned): string[] {
  const { dashboardUid, panelId } = rule;
  const annotations = object(rule, 'annotations');
  if (dashboardUid === undefined && panelId === undefined) return [];
  const board = dashboards.find(({ dashboard }) => dashboard['uid'] === dashboardUid)?.dashboard;
  const violations: string[] = [];
  const panels = list(board, 'panels').flatMap((panel) => [panel, ...list(panel, 'panels')]);
  if (!panels.some(({ id }) => id === panelId)) violations.push('its panel does not exist');
  if (annotations['__dashboardUid__'] !== dashboardUid || annotations['__panelId__'] !== String(panelId))
    violations.push('the annotations name another panel');
  return violations;
}

function contactPointViolations({ contactPoints }: Provisioned): string[] {
  const receivers = contactPoints.flatMap((point) => list(point, 'receivers'));
  const uids = receivers.map((receiver) => text(receiver, 'uid'));
  return [
    ...repeated(uids).map((uid) => `contact point uid ${uid} is not unique`),
    ...uids.map(uidViolation).filter((violation) => violation !== null),
    ...receivers
      .filter((receiver) => text(receiver, 'type') === 'email')
      .filter((receiver) => text(object(receiver, 'settings'), 'addresses') === '')
      .map((receiver) => `contact point ${text(receiver, 'uid')} has no address`),
  ];
}

function policyViolations({ policies, contactPoints }: Provisioned): string[] {
  const names = new Set(contactPoints.map((point) => text(point, 'name')));
  const routes = policies.flatMap((policy) => [policy, ...list(policy, 'routes')]);
  return routes.flatMap((route) => {
    const violations: string[] = [];
    const receiver = text(route, 'receiver');
    if (!names.has(receiver)) violations.push(`policy: contact point ${receiver} does not exist`);
    for (const key of ['group_wait', 'group_interval', 'repeat_interval']) {
      if (route[key] !== undefined && !durationSeconds(text(route, key))) {
        violations.push(`policy of ${receiver}: ${key} is not a duration above 0`);
      }
    }
    return violations;
  });
}

/** Seconds of a duration such as `1m30s`; null for any other text. */
function durationSeconds(duration: string): number | null {
  if (!/^(?:\d+(?:ms|[smhdwy]))+$/.test(duration)) return duration === '0' ? 0 : null;
  const seconds: Readonly<Record<string, number>> = {
    ms: 0.001,
    s: 1,
    m: 60,
    h: 3_600,
    d: 86_400,
    w: 604_800,
    y: 31_536_000,
  };
  return [...duration.matchAll(/(\d+)(ms|[smhdwy])/g)].reduce(
    (sum, [, count = '', unit = '']) => sum + Number(count) * (seconds[unit] ?? 0),
    0,
  );
}
