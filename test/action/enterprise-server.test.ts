import { expect, test } from 'vitest'
import { annotations, JOBS_PATH, openStage, ownSteps, told } from './play.ts'

test("on Enterprise Server the URLs are that server's, and the job is found by its runner", async () => {
  const stage = await openStage({ enterprise: true })
  const played = await stage.play({ checkRunId: false, runnerName: 'rack-7' })

  expect(played.conclusion).toBe('success')
  expect(annotations(ownSteps(played.jobs[0]!).post)).toEqual([])
  expect(told(stage.github)).toEqual([`GET /api/v3${JOBS_PATH}`])
  expect(stage.run).toMatchObject({ status: 'SUCCESS', link: [stage.runUrl()] })
  expect(stage.run.summary).toContain('| Build image | ✓ success |')
})
