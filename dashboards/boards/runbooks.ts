import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ClassicDashboard } from './sources.ts';
import { PanelBuilder as TextBuilder, TextMode } from '@grafana/grafana-foundation-sdk/text';
import { runbookUid } from './sources.ts';
import { settings } from '../settings.ts';

const runbookDir = join(import.meta.dirname, '../../docs/runbooks');

/** Names of the runbooks: the names of the files in docs/runbooks without `.md`. */
export function runbookNames(): string[] {
  return readdirSync(runbookDir)
    .filter((file) => file.endsWith('.md') && file !== 'README.md')
    .map((file) => file.slice(0, -'.md'.length))
    .toSorted();
}

/** A dashboard that shows a runbook. The links of alerts can then be opened in every Grafana. */
export function runbookDashboard(name: string): ClassicDashboard {
  const markdown = readFileSync(join(runbookDir, `${name}.md`), 'utf8');
  const title = /^# (.+)$/m.exec(markdown)?.[1] ?? name;
  return new ClassicDashboard(`Runbook / ${title}`)
    .uid(runbookUid(name))
    .tags(['tollgate-runbook'])
    .readonly()
    .withPanel(
      new TextBuilder()
        .title(title)
        .description('What the alert means, what to check first, and how to repair it.')
        .mode(TextMode.Markdown)
        .content(withGrafanaLinks(markdown))
        .span(24)
        .height(28),
    );
}

/** Replaces links between runbook files by links between their dashboards, because Grafana cannot open the files. */
function withGrafanaLinks(markdown: string): string {
  return markdown.replaceAll(
    /\]\(([\w-]+)\.md\)/g,
    (_, name: string) => `](${settings.grafanaUrl}/d/${runbookUid(name)})`,
  );
}
