import type { PortError } from '../../port/client/port-client.ts'
import { followEntities } from './follow-entities.ts'
import { followLabel } from './follow-label.ts'
import { followLog } from './follow-log.ts'
import type { FollowedJob, Following } from './following.ts'

/** How often the files that steps append to are looked at. */
const LOOK_EVERY_MS = 2_000
/** However far away a service wants to be asked again: a timer of more than 24 days would fire at once. */
const LONGEST_PAUSE_MS = 3_600_000

/**
 * Shows in Port the step that runs, and what steps append to their files, until `ended`. A request under way is
 * finished first. It never throws: what it does not manage is left to post.
 */
export async function followJob(
  job: FollowedJob,
  given: Pick<Following, 'run' | 'folder' | 'masks' | 'fetch' | 'clock' | 'sleep' | 'ended'>,
): Promise<void> {
  const { clock, ended } = given
  let pausedUntil = 0
  const soon = (at: number) => Math.min(at, clock() + LONGEST_PAUSE_MS)
  const following: Following = {
    ...given,
    job,
    soon,
    pausedUntil: () => pausedUntil,
    trouble(error) {
      if (error.temporary) pausedUntil = Math.max(pausedUntil, soon(error.retryAt ?? clock() + 5_000))
      else if (error.kind !== 'refused') ended.abort()
    },
    async send(operation) {
      try {
        await operation()
        return null
      } catch (error) {
        following.trouble(error as PortError)
        return error as PortError
      }
    },
  }
  const label = followLabel(following)
  const looks = [followLog(following), label.look, followEntities(following)]
  await Promise.all([followFiles(), label.followSteps()])

  /** One after the other, so that Port shows what each look found in this order. */
  async function followFiles(): Promise<void> {
    for (;;) {
      await given.sleep(Math.max(LOOK_EVERY_MS, pausedUntil - clock()))
      for (const look of looks) {
        if (ended.signal.aborted) return
        // A file that cannot be read or written to now may be later; else post reports it.
        await look().catch(() => {})
      }
    }
  }
}
