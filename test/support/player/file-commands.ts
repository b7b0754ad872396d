import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readEnvFile } from './env-file.ts'
import type { PlayedStep } from './types.ts'

const files = { GITHUB_ENV: 'set_env', GITHUB_OUTPUT: 'set_output', GITHUB_PATH: 'add_path' } as const
const more = { GITHUB_STATE: 'save_state', GITHUB_STEP_SUMMARY: 'step_summary' } as const
const summaryLimit = 1024 * 1024

/**
 * Makes the files through which a step speaks to the runner, one of each for each step.
 *
 * `collect` reads them into the step's record, removes them, and returns the runner's messages about what
 * it could not take: each fails the step, but for a summary that is too long.
 */
export async function createFileCommands(temp: string) {
  const directory = join(temp, '_runner_file_commands')
  await mkdir(directory, { recursive: true })
  const id = randomUUID()
  const paths = Object.entries({ ...files, ...more }).map(([name, file]) => [
    name,
    join(directory, `${file}_${id}`),
  ])
  const env: Record<string, string> = Object.fromEntries(paths)
  await Promise.all(Object.values(env).map(path => writeFile(path, '')))

  const collect = async (step: PlayedStep) => {
    const problems: string[] = []
    const warnings: string[] = []
    const read = async (name: string) => await readFile(env[name]!, 'utf8').catch(() => '')
    const values = async (name: string) => {
      try {
        return readEnvFile(await read(name))
      } catch (error) {
        const command = name.replace('GITHUB_', '').toLowerCase()
        problems.push(`Unable to process file command '${command}' successfully.`, (error as Error).message)
        return {}
      }
    }
    step.env = await values('GITHUB_ENV')
    if ('NODE_OPTIONS' in step.env) {
      delete step.env.NODE_OPTIONS
      problems.push("Can't store NODE_OPTIONS output parameter using '$GITHUB_ENV' command.")
    }
    step.outputs = await values('GITHUB_OUTPUT')
    step.state = await values('GITHUB_STATE')
    step.path = (await read('GITHUB_PATH')).split(/\r?\n/).filter(line => line !== '')
    step.summary = await read('GITHUB_STEP_SUMMARY')
    const size = Buffer.byteLength(step.summary)
    if (size > summaryLimit) {
      step.summary = ''
      warnings.push(
        `$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of 1024k, got ${Math.floor(size / 1024)}k.`,
      )
    }
    await Promise.all(Object.values(env).map(path => rm(path, { force: true })))
    return { problems, warnings }
  }
  return { env, collect }
}
