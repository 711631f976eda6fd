/** The generated files that the Helm chart contains, by their path in `deploy/helm/tollgate/files`. */
export function chartFiles(generated: ReadonlyMap<string, string>): Map<string, string> {
  const files = new Map<string, string>();
  for (const [path, text] of generated) {
    if (path === 'prometheus/rules.yml') files.set('rules.yml', text);
    const dashboard = /^grafana\/((?:dashboards|runbooks)\/[^/]+\.json)$/.exec(path)?.[1];
    if (dashboard !== undefined) files.set(dashboard, text);
  }
  return files;
}
