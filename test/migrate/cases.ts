import type { JsonObject } from '../../port/types.ts'
import type { Trigger } from '../../relay/commands/migrate/types.ts'

/** How a workflow is started, before and after, and what is to be the same. */
export interface Case {
  /** `test/fixtures/migrate/cases/NAME.before.yml` */
  name: string
  /** What it is started by after; without it, what it was started by before. */
  on?: Trigger
  /** What a person filled in. */
  inputs?: JsonObject
  /** Makes the command `work` fail with this argument. */
  broken?: string
  /** Parts of findings, with their lines. */
  findings?: string[]
  /** How Port's run ends. */
  end: 'SUCCESS' | 'FAILURE'
  /** The calls of the command `work`, in any order. */
  calls: string[]
  /** What Port's log has of the author. */
  log?: string[]
  /** The author's own links. */
  links?: string[]
  /** Text that stands in the workflow after. */
  holds?: string[]
  /** Not played: it needs what the stand-in of Port has not. */
  onlyParsed?: true
}

const BOTH: Trigger[] = ['workflow_dispatch', 'repository_dispatch']
const both = (each: Omit<Case, 'on'>): Case[] => BOTH.map(on => ({ ...each, on }))
const prod = { target: 'prod', skip_tests: false, regions: ['eu', 'us'] }

export const CASES: Case[] = [
  ...both({
    name: 'upsert-in-the-middle',
    inputs: { version: '1.4', environment: 'prod' },
    end: 'SUCCESS',
    calls: ['deploy 1.4', 'smoke'],
    log: ['Deploying 1.4 to prod'],
    holds: ['# One job does it all.', '# The code first.', '# What the catalog shows.', '# with the version'],
  }),
  ...both({
    name: 'upsert-conditional',
    inputs: { name: 'cart', publish: true },
    end: 'SUCCESS',
    calls: ['create cart', 'publish'],
  }),
  ...both({
    name: 'upsert-conditional',
    inputs: { name: 'cart', publish: false },
    end: 'SUCCESS',
    calls: ['create cart', 'keep'],
  }),
  {
    name: 'upsert-on-failure',
    inputs: { version: 'broken' },
    broken: 'broken',
    end: 'FAILURE',
    calls: ['test broken'],
    log: ['The tests of broken failed'],
  },
  { name: 'upsert-on-failure', inputs: { version: '1' }, end: 'SUCCESS', calls: ['test 1', 'never'] },
  {
    name: 'upsert-always',
    inputs: { version: '1' },
    end: 'SUCCESS',
    calls: ['back-up 1'],
    log: ['The backup is success'],
  },
  {
    name: 'upsert-always',
    inputs: { version: 'broken' },
    broken: 'broken',
    end: 'FAILURE',
    calls: ['back-up broken'],
    log: ['The backup is failure'],
  },
  {
    name: 'delete',
    end: 'SUCCESS',
    calls: ['delete jobs'],
    log: ['Deleted The shop'],
    holds: ['"operation": "delete"'],
  },
  { name: 'bulk', end: 'SUCCESS', calls: [] },
  ...both({
    name: 'booleans',
    inputs: { dry_run: true, force: false, count: 3 },
    end: 'SUCCESS',
    calls: ['plan', 'by-text true'],
    log: ['Scaled to 3, dry run: true'],
  }),
  ...both({
    name: 'booleans',
    inputs: { dry_run: false, force: true, count: 3 },
    end: 'SUCCESS',
    calls: ['scale 3', 'force'],
    log: ['Scaled to 3, dry run: false'],
  }),
  {
    name: 'reserved-names',
    inputs: { action: 'apply', operation: 'grow', entity: 'cart', inputs: 'x' },
    end: 'SUCCESS',
    calls: ['apply', 'show grow cart x'],
  },
  {
    name: 'reserved-names',
    on: 'repository_dispatch',
    inputs: { action: 'apply', operation: 'grow', entity: 'cart', inputs: 'x' },
    end: 'SUCCESS',
    calls: ['apply', 'show grow cart x'],
    holds: ['steps.port.outputs.input-action', 'steps.port.outputs.input-entity'],
    findings: ['28: check: the input action has the name of an output'],
  },
  ...both({
    name: 'defaults',
    inputs: { region: 'eu' },
    end: 'SUCCESS',
    calls: ['create small 1 eu', 'monitor', 'count 1'],
  }),
  ...both({
    name: 'defaults',
    inputs: { region: 'eu', size: 'large', nodes: '3', monitored: false },
    end: 'SUCCESS',
    calls: ['create large 3 eu', 'count 3'],
  }),
  ...both({
    name: 'job-level',
    inputs: prod,
    end: 'SUCCESS',
    calls: ['test', 'promote prod RUN eu mode-false', 'promote prod RUN us mode-false'],
  }),
  ...both({
    name: 'job-level',
    inputs: { ...prod, target: 'dev', skip_tests: true },
    end: 'SUCCESS',
    calls: ['roll-back'],
  }),
  {
    name: 'matrix',
    inputs: { version: '1' },
    end: 'SUCCESS',
    calls: ['test linux 1', 'test macos 1'],
    log: ['Testing on linux', 'Testing on macos'],
    holds: ['report: workflow'],
  },
  {
    name: 'matrix',
    inputs: { version: '1' },
    broken: 'macos',
    end: 'FAILURE',
    calls: ['test linux 1', 'test macos 1'],
  },
  ...both({
    name: 'reusable',
    inputs: { version: '1' },
    end: 'SUCCESS',
    calls: ['publish 1', 'announce 1 The shop'],
  }),
  {
    name: 'several-jobs',
    inputs: { version: '1' },
    end: 'SUCCESS',
    calls: ['build', 'deploy shop:1'],
    log: ['Building 1'],
  },
  { name: 'several-jobs', inputs: { version: '1' }, broken: 'build', end: 'FAILURE', calls: ['build'] },
  {
    name: 'own-link',
    inputs: { title: 'Fix it' },
    end: 'SUCCESS',
    calls: ['open'],
    log: ['Opened a pull request: Fix it'],
    links: ['https://github.example/acme/shop/pull/7'],
  },
  {
    name: 'red-from-green',
    broken: 'broken',
    end: 'FAILURE',
    calls: ['check broken', 'go-on'],
    holds: ['conclusion=failure'],
  },
  { name: 'red-from-green', end: 'SUCCESS', calls: ['check broken', 'go-on'] },
  { name: 'red-by-expression', end: 'FAILURE', calls: [], log: ['Not found'] },
  { name: 'curl', inputs: { version: '1' }, end: 'SUCCESS', calls: ['restart'], log: ['Restarting 1'] },
  { name: 'curl', inputs: { version: '1' }, broken: 'restart', end: 'FAILURE', calls: ['restart'] },
  ...both({
    name: 'run-id-input',
    inputs: { command: 'say "hi"' },
    end: 'SUCCESS',
    calls: ['ask say hi'],
    log: ['Answered say "hi"'],
  }),
  ...both({
    name: 'context-parts',
    end: 'SUCCESS',
    calls: ['resize shop web main ada@acme.example The shop service'],
  }),
  ...both({
    name: 'port-payload',
    inputs: { owner: 'web' },
    end: 'SUCCESS',
    calls: ['change web shop The shop'],
    log: ['service now belongs to web'],
  }),
  {
    name: 'identifier-output',
    inputs: { name: 'web' },
    end: 'SUCCESS',
    calls: ['use team-web', 'once-said'],
  },
  {
    name: 'repository-dispatch',
    inputs: { version: '1', count: 2 },
    end: 'SUCCESS',
    calls: ['deploy 1 shop'],
  },
  {
    name: 'payload-types',
    inputs: { region: 'eu', labels: ['a', 'b'], force: false, replicas: 2, size: 'large' },
    end: 'SUCCESS',
    calls: ['change web [a,b] a a+b eu.large', 'scale 2'],
    log: ['Changed eu'],
    holds: ["format('{0}.{1}', steps.port.outputs.region, steps.port.outputs.size)"],
  },
  {
    name: 'skipped-branch',
    inputs: { customerImpacted: true },
    end: 'SUCCESS',
    calls: ['impact SEV-2'],
    holds: ["fromJson(steps.no_impact.outputs.response || 'null').id"],
  },
  {
    name: 'skipped-branch',
    on: 'repository_dispatch',
    inputs: { customerImpacted: false, severity: 'SEV-1' },
    end: 'SUCCESS',
    calls: ['no-impact SEV-1'],
  },
  {
    name: 'other-folder',
    inputs: { version: '1' },
    end: 'SUCCESS',
    calls: ['lint code'],
    log: ['Linting 1'],
  },
  ...both({
    name: 'whole-context',
    end: 'SUCCESS',
    calls: ['label RUN shop'],
    log: ['Labelled by RUN'],
    findings: ['17: check: port_context as a whole'],
  }),
  ...both({
    name: 'step-env',
    inputs: { version: '1', tier: 'prod' },
    end: 'SUCCESS',
    calls: [],
    log: ['In prod'],
  }),
  { name: 'label-and-summary', end: 'SUCCESS', calls: ['rotate'], holds: ['status-label=', 'summary<<'] },
  {
    name: 'entities-read',
    end: 'SUCCESS',
    calls: ['compare shop'],
    log: ['Compared The shop'],
    findings: ['15: todo: GET reads entities'],
    onlyParsed: true,
  },
]
