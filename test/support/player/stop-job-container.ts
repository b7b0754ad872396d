import type { JobState } from './job-state.ts'

/** Ends the container of a job, if it has one, and counts what still ran in it as left behind. */
export async function stopJobContainer(state: JobState): Promise<void> {
  const { container, played } = state
  state.container = null
  if (container) played.orphans.push(...(await container.stop()))
}
