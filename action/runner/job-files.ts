import { join } from 'node:path'

/** The files that steps append to, by the environment variables that name them. */
export interface JobFiles {
  /** `$PORT_LOG`: lines for the log of the run in Port. */
  log: string
  /** `$PORT_ENTITIES`: entities, as YAML documents or lines of JSON. */
  entities: string
  /** `$PORT_RUN`: label, links, summary and conclusion, as in GitHub's environment files. */
  run: string
}

/** In a job container RUNNER_TEMP is mounted, so the paths hold there too. */
export function jobFiles(tempFolder: string, delivery: string): JobFiles {
  const name = delivery.replace(/[^A-Za-z0-9_-]/g, '-')
  const path = (kind: string) => join(tempFolder, `port-${kind}-${name}.txt`)
  return { log: path('log'), entities: path('entities'), run: path('run') }
}
