/** Port takes no more of a node run. */
const MOST_OF_NODE_RUN = 3

/** The links of a run in Port: that of the workflow run, then those that steps have written to `$PORT_RUN`. */
export function linksOf(workflowRun: string, own: string[], kind: 'action_run' | 'node_run'): string[] {
  const links = [workflowRun, ...own.filter(link => link !== workflowRun)]
  return kind === 'node_run' ? links.slice(0, MOST_OF_NODE_RUN) : links
}
