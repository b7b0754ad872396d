import type { JsonObject } from '../port/types.ts'

/** One invocation of a Port action, and the expected result of the Port run. */
export interface Act {
  title: string
  /** The definition of the Port action or the Port workflow, a file in `examples/`. */
  action: string
  /** What the user entered in Port. */
  inputs: JsonObject
  /** The entity that the action is invoked on. */
  entity?: string
  /** The entities that Port should show for the run, as text: blueprint, title, and relations of each. */
  reports?: string[]
  /** Query parameters to add to the webhook's URL. */
  query?: Record<string, string>
  /** Environment variables with which to restart the relay. */
  relay?: Record<string, string>
  /** Whether the user cancels the run in Port while the workflow run waits for a runner. */
  isCancelled?: true
  /** Whether no workflow listens to the dispatch. */
  startsNothing?: true
  status: 'SUCCESS' | 'FAILURE'
  label: string
  /** Lines that the Port run's log must contain, without durations. */
  log: string[]
}

const DEPLOY = 'deploy/port-action.full-context.json'
const RELEASE = {
  action: 'existing-workflow/port-action.json',
  inputs: {
    ...{ service: 'shop', version: '1.4.2', target: 'staging', strategy: 'blue-green' },
    ...{ replicas: 2, dry_run: false },
  },
  query: { ref: 'release' },
  log: ['Dispatched workflow release.yml to acme/shop on release'],
}

export const acts: Act[] = [
  {
    title: 'Act one: a deployment that goes well',
    action: DEPLOY,
    inputs: { service: 'shop', version: '1.4.2', environment: 'staging', replicas: 2 },
    status: 'SUCCESS',
    label: 'Succeeded',
    log: [
      '✓ Find the release',
      '✓ Roll out',
      'shop 1.4.2: replica 2 of 2 is up in staging',
      '✓ Job deploy: success',
    ],
  },
  {
    title: 'Act two: a deployment that reports a new entity, without Port credentials in the repository',
    action: 'report-deployment/port-action.json',
    inputs: { version: '1.4.2', environment: 'staging' },
    entity: 'shop',
    status: 'SUCCESS',
    label: 'Succeeded',
    log: ['shop 1.4.2 is up in staging', '✓ Report the deployment', '✓ Job deploy: success'],
    reports: ['deployment 1.4.2, of service shop, environment staging'],
  },
  {
    title: 'Act three: a Port workflow, whose next node uses an output of the workflow run on GitHub',
    action: 'preview/port-workflow.json',
    inputs: { pull_request: 7 },
    status: 'SUCCESS',
    label: 'Succeeded',
    log: ['✓ Create the environment', '✓ Job preview: success'],
    reports: ['environment Preview of pull request 7, with url https://pr-7.shop.example'],
  },
  {
    title: 'Act four: a step fails, and Port shows which step and why',
    action: DEPLOY,
    inputs: { service: 'shop', version: 'latest', environment: 'production', replicas: 2 },
    status: 'FAILURE',
    label: 'Failed',
    log: [
      '✗ Find the release: failure',
      'There is no release "latest": a version looks like 1.4.2',
      '– Roll out: skipped',
      '✗ Job deploy: failure',
    ],
  },
  {
    title: 'Act five: an existing workflow on the branch “release”; GitHub’s response identifies its run',
    ...RELEASE,
    status: 'SUCCESS',
    label: 'Succeeded',
  },
  {
    title: 'Act six: a user cancels the run in Port, and its workflow run on GitHub is canceled',
    ...RELEASE,
    isCancelled: true,
    status: 'FAILURE',
    label: 'Canceled',
  },
  {
    title:
      'Act seven: the webhook URL in Port has a typo, so no workflow listens, and Port shows the problem',
    action: DEPLOY,
    inputs: { service: 'shop', version: '1.4.2', environment: 'staging', replicas: 2 },
    query: { event_type: 'deploy_servise' },
    relay: { RELAY_START_TIMEOUT: '3s' },
    startsNothing: true,
    status: 'FAILURE',
    label: 'Not started',
    log: [
      'No workflow in acme/shop listens to repository_dispatch type deploy_servise on its default branch.',
    ],
  },
]
