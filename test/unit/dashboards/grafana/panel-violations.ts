import { list, object, text } from './provisioned-files.ts';
import type { Json } from './provisioned-files.ts';

/** Pixels of one of the 24 columns on a screen of 1,440 pixels, beside Grafana's menu. */
const columnPixels = 56;
/** Pixels of the icons beside a title (description, link, menu), and of one character of it. */
const titleIconPixels = 70;
const characterPixels = 7.6;
const tablePaddingPixels = 32;
/** Panels that a dashboard shows without opening a row. */
const openPanelsMax = 24;

/** Violations of the rules that make a panel readable in an incident. Text panels have no data. */
export function panelViolations(panel: Json): string[] {
  const type = text(panel, 'type');
  if (type === 'row' || type === 'text') return [];
  const violations = [...titleViolations(panel), ...dataViolations(panel)];
  if (type === 'timeseries') violations.push(...scaleViolations(panel), ...legendViolations(panel));
  if (type === 'stat') violations.push(...thresholdViolations(panel));
  if (type === 'table') violations.push(...columnViolations(panel));
  return violations.map((violation) => `panel ${text(panel, 'title')}: ${violation}`);
}

/** Violations of a dashboard as a whole: what is visible when it is opened. */
export function layoutViolations(dashboard: Json): string[] {
  const panels = list(dashboard, 'panels');
  const open = panels.filter((panel) => text(panel, 'type') !== 'row');
  const hidden = [
    ...list(dashboard, 'links'),
    ...list(object(dashboard, 'annotations'), 'list'),
    ...panels.flatMap((panel) => [panel, ...list(panel, 'panels')]).flatMap((panel) => list(panel, 'links')),
  ].filter(({ placement }) => placement !== undefined);
  return [
    ...(open.length > openPanelsMax ? [`${open.length} panels are open at once`] : []),
    ...panels
      .filter(({ collapsed }) => collapsed === true)
      .filter((row) => list(row, 'panels').length === 0)
      .map((row) => `row ${text(row, 'title')} is empty`),
    ...(hidden.length > 0 ? ['links or annotations are hidden in a menu'] : []),
  ];
}

function titleViolations(panel: Json): string[] {
  const { w } = object(panel, 'gridPos');
  const characters = Math.floor((Number(w) * columnPixels - titleIconPixels) / characterPixels);
  const runbook = list(panel, 'links').some((link) => text(link, 'url').startsWith('/d/tollgate-runbook-'));
  // Grafana replaces variables by their values, e.g. of the currency.
  const shown = text(panel, 'title').replaceAll(/\$\{\w+\}/g, 'xxxxxx');
  return [
    ...(shown.length > characters ? ['the title is cut off'] : []),
    ...(runbook ? [] : ['no link to a runbook']),
  ];
}

function dataViolations(panel: Json): string[] {
  const { defaults } = object(panel, 'fieldConfig');
  const reason = text(defaults, 'noValue');
  return reason === '' || /^no data$/i.test(reason) ? ['does not say why it is empty'] : [];
}

function scaleViolations(panel: Json): string[] {
  const defaults = object(object(panel, 'fieldConfig'), 'defaults');
  const { axisSoftMax } = object(defaults, 'custom');
  return [
    ...(defaults['min'] === 0 ? [] : ['the scale does not start at 0']),
    ...(Number(axisSoftMax) > 0 || Number(defaults['max']) > 0 ? [] : ['zeros are drawn on a scale to 100']),
  ];
}

/** More than four series, or one for each value of a label, need a table to be read. */
function legendViolations(panel: Json): string[] {
  const targets = list(panel, 'targets');
  const isMany =
    targets.length > 4 ||
    targets.some((target) =>
      /\{\{|GROUP BY time, /.test(text(target, 'legendFormat') + text(target, 'rawSql')),
    );
  const legend = object(object(panel, 'options'), 'legend');
  const calcs = Array.isArray(legend['calcs']) ? (legend['calcs'] as string[]) : [];
  const isTable = legend['displayMode'] === 'table' && calcs.includes('lastNotNull') && calcs.includes('max');
  return isMany && !isTable ? ['the legend has no table with last and max'] : [];
}

function thresholdViolations(panel: Json): string[] {
  const thresholds = object(object(object(panel, 'fieldConfig'), 'defaults'), 'thresholds');
  return list(thresholds, 'steps').length < 2 ? ['has no threshold'] : [];
}

function columnViolations(panel: Json): string[] {
  const fieldConfig = object(panel, 'fieldConfig');
  const leastWidth = Number(object(object(fieldConfig, 'defaults'), 'custom')['minWidth'] ?? 150);
  const columns = list(fieldConfig, 'overrides').map((override) => {
    const properties = list(override, 'properties');
    const valueOf = (id: string): unknown => properties.find((property) => property['id'] === id)?.['value'];
    return { heading: valueOf('displayName'), width: Number(valueOf('custom.width') ?? leastWidth) };
  });
  const { w } = object(panel, 'gridPos');
  const width = columns.reduce((sum, column) => sum + column.width, 0);
  return [
    ...(columns.length === 0 || columns.some(({ heading }) => !/^[A-Zp]/.test(String(heading)))
      ? ['a column has no heading in words']
      : []),
    ...(width > Number(w) * columnPixels - tablePaddingPixels
      ? [`its columns (${width} px) scroll sideways`]
      : []),
  ];
}
