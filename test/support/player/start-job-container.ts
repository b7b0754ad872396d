import { mkdir } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { JobState } from './job-state.ts'
import type { WantedContainer } from './read-container.ts'
import { startContainer } from './start-container.ts'
import type { StepLog } from './step-log.ts'
import type { Mount } from './translate-path.ts'

/**
 * Starts the container in which every step of the job runs, with the runner's folders where its sources have them.
 * Whatever the image is called, it is this machine's system.
 *
 * Source: ContainerInfo.cs and ContainerOperationProvider.cs of actions/runner.
 */
export async function startJobContainer(
  state: JobState,
  { image, env }: WantedContainer,
  log: StepLog,
): Promise<void> {
  const { run, temp, workspace } = state
  log.write('##[group]Starting job container')
  log.write(`Image: ${image}`)
  const work = dirname(temp)
  const home = join(temp, '_github_home')
  const tools = join(run.root, '_tool')
  await Promise.all([home, tools].map(folder => mkdir(folder, { recursive: true })))
  const name = run.options.repository.split('/')[1]!
  const named: [from: string, to: string, readOnly?: boolean][] = [
    [join(temp, '_github_workflow'), '/github/workflow'],
    [home, '/github/home'],
    ...(run.options.workspace ? [[workspace, `/__w/${name}/${name}`] as [string, string]] : []),
    [work, '/__w'],
    [tools, '/__t'],
    // The runner brings its own Node.
    [dirname(process.execPath), '/__e/node24/bin', true],
    [resolve(run.repositoryRoot), `/__w/_actions/${run.options.repository}/main`, true],
  ]
  const mounts: Mount[] = named.map(([from, to, readOnly = false]) => ({ from, to, readOnly }))
  const root = join(run.root, `container-${basename(work)}`)
  const container = await startContainer(root, mounts, { HOME: '/github/home', ...env })
  log.write(container.id)
  log.write('##[endgroup]')
  state.container = container
  state.played.container = { id: container.id, pid: container.pid }
}
