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

/**
 * In the folder of the runner's own files, such as that of GITHUB_OUTPUT: the runner mounts it into the containers of
 * jobs and of Docker actions, and translates the paths.
 *
 * @see https://github.com/actions/runner/blob/main/src/Runner.Worker/Handlers/ContainerActionHandler.cs
 */
export function jobFiles(tempFolder: string, delivery: string): JobFiles {
  const name = delivery.replace(/[^A-Za-z0-9_-]/g, '-')
  const path = (kind: string) => join(tempFolder, '_runner_file_commands', `port-${kind}-${name}.txt`)
  return { log: path('log'), entities: path('entities'), run: path('run') }
}
