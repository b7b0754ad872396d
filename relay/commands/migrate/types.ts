/** How the rewritten workflow is started: with the payload in its input `port`, or in the event. */
export type Trigger = 'workflow_dispatch' | 'repository_dispatch'

export interface MigrateOptions {
  /** Without it, the workflow keeps the trigger that it has. */
  on?: Trigger
  /** The event type of a `repository_dispatch`: the identifier of the action in Port. */
  eventType: string
  /** `uses:` of the action. */
  action: string
  /** Reports with the client id and secret that the workflow has, instead of by OIDC through the relay. */
  credentials: boolean
  /** Keeps log messages of fixed text too, which the action's own log replaces. */
  keepLogs: boolean
}

/** What a person must look at, at a line of the workflow as it was. */
export interface Finding {
  line: number
  /** `todo`: left as it was. `check`: rewritten, and its meaning depends on what the workflow does not show. */
  level: 'todo' | 'check'
  message: string
}

export interface Migrated {
  /** The workflow's text; as it was, where nothing is to be changed. */
  text: string
  changed: boolean
  findings: Finding[]
  /** Whether it reports to Port by hand and cannot be rewritten. */
  refused: boolean
  /** Whether something in it still may end the run in Port by hand. */
  mayEnd: boolean
  /** The inputs that callers hand on no more, by names in lower case: what Port sent, or the id of its run. */
  removed: Map<string, 'contexts' | 'runIds'>
}

/** The workflow cannot be migrated, and why. */
export class MigrateError extends Error {}
