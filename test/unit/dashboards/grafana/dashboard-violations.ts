import * as units from '@grafana/grafana-foundation-sdk/units';
import { layoutViolations, panelViolations } from './panel-violations.ts';
import { list, object, repeated, text, uidViolation } from './provisioned-files.ts';
import type { Json, Provisioned } from './provisioned-files.ts';

/** Units of Grafana 12. A unit that Grafana does not have is shown as a suffix. */
const knownUnits = new Set<unknown>(Object.values(units));
/** Data sources inside Grafana. */
const builtIn = ['-- Mixed --', '-- Grafana --', '-- Dashboard --', '__expr__', 'grafana'];

/** Violations in the JSON of dashboards: of Grafana's rules, and of the rules that make a panel readable. */
export function dashboardViolations(provisioned: Provisioned): string[] {
  const uids = provisioned.dashboards.map(({ dashboard }) => text(dashboard, 'uid'));
  return [
    ...repeated(uids).map((uid) => `dashboard uid ${uid} is not unique`),
    ...provisioned.dashboards.flatMap(({ path, dashboard }) =>
      [...boardViolations(dashboard), ...sourceViolations(dashboard, provisioned)].map(
        (violation) => `${path}: ${violation}`,
      ),
    ),
    ...linkViolations(provisioned),
    ...provisioned.providers
      .filter((provider) => text(object(provider, 'options'), 'path') === '')
      .map((provider) => `provider ${text(provider, 'name')} has no path`),
  ];
}

function boardViolations(dashboard: Json): string[] {
  const panels = allPanels(dashboard);
  const uid = uidViolation(text(dashboard, 'uid'));
  return [
    ...(uid === null ? [] : [uid]),
    ...(text(dashboard, 'title') === '' ? ['no title'] : []),
    ...repeated(panels.map(({ id }) => String(id as number))).map((id) => `panel id ${id} is not unique`),
    ...panels.flatMap(queryViolations),
    ...panels.flatMap(panelViolations),
    ...layoutViolations(dashboard),
  ];
}

function queryViolations(panel: Json): string[] {
  const title = text(panel, 'title');
  if (title === '') return [`panel ${String(panel['id'])} has no title`];
  if (text(panel, 'type') === 'row') return [];
  const violations: string[] = [];
  if (text(panel, 'description') === '') violations.push(`panel ${title} has no description`);
  const refIds = list(panel, 'targets').map((target) => text(target, 'refId'));
  if (refIds.includes('') || repeated(refIds).length > 0)
    violations.push(`panel ${title}: refIds are not unique`);
  for (const unit of unitsOf(panel)) {
    if (!knownUnits.has(unit)) violations.push(`panel ${title}: unit ${unit} is not known`);
  }
  return violations;
}

function unitsOf(panel: Json): string[] {
  const { defaults } = object(panel, 'fieldConfig');
  const properties = list(object(panel, 'fieldConfig'), 'overrides').flatMap((override) =>
    list(override, 'properties'),
  );
  const overridden = properties.filter(({ id }) => id === 'unit').map((property) => text(property, 'value'));
  return [text(defaults, 'unit'), ...overridden].filter((unit) => unit !== '');
}

/** Every data source is provisioned, or is a variable whose default is a provisioned data source. */
function sourceViolations(dashboard: Json, { dataSourceUids }: Provisioned): string[] {
  const variables = list(object(dashboard, 'templating'), 'list');
  const defaults = new Map(
    variables.map((variable) => [
      `\${${text(variable, 'name')}}`,
      text(object(variable, 'current'), 'value'),
    ]),
  );
  const panels = allPanels(dashboard);
  const references = [...variables, ...panels, ...panels.flatMap((panel) => list(panel, 'targets'))]
    .map((owner) => text(object(owner, 'datasource'), 'uid'))
    .filter((uid) => uid !== '' && !builtIn.includes(uid));
  return [...new Set(references)]
    .filter((uid) => !dataSourceUids.has(defaults.get(uid) ?? uid))
    .map((uid) => `data source ${uid} is not provisioned`);
}

/** Links of panels, of rules and inside texts lead to dashboards and panels that are shipped. */
function linkViolations({ dashboards, ruleGroups }: Provisioned): string[] {
  const boards = new Map(dashboards.map(({ dashboard }) => [text(dashboard, 'uid'), dashboard]));
  const texts = [
    ...dashboards.map(({ path, dashboard }) => [path, strings(dashboard).join('\n')] as const),
    ['rules', strings(ruleGroups).join('\n')] as const,
  ];
  return texts.flatMap(([path, content]) => [
    ...[...content.matchAll(/\/d\/([\w-]+)(?:[^\s")]*?viewPanel=(?:panel-)?(\d+))?/g)]
      .filter(([, uid = '', panel]) => !leadsToPanel(boards.get(uid), panel))
      .map(([link]) => `${path}: link ${link} leads to nothing`),
    ...[...content.matchAll(/\]\((?!https?:|\/|#)([^)]+)\)/g)].map(
      ([, target = '']) => `${path}: link ${target} leads to nothing in Grafana`,
    ),
  ]);
}

function leadsToPanel(board: Json | undefined, panelId: string | undefined): boolean {
  if (board === undefined) return false;
  return panelId === undefined || allPanels(board).some(({ id }) => id === Number(panelId));
}

/** All panels, including the panels in collapsed rows. */
function allPanels(dashboard: Json): readonly Json[] {
  return list(dashboard, 'panels').flatMap((panel) => [panel, ...list(panel, 'panels')]);
}

function strings(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(strings) : [];
}
