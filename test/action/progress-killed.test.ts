import { describe, expect, test } from 'vitest'
import { isAlive } from '../../action/progress/process.ts'
import { linesOf, startSystem } from './play.ts'

/** `PLAY_KILLS=50 npx vitest run test/action/progress-killed.test.ts` runs 50 random cases instead of 2. */
const KILLS = Number(process.env.PLAY_KILLS ?? 2)

const kills = Array.from({ length: KILLS }, (_, index) => ({
  target: (['progress reporter', 'step'] as const)[index % 2]!,
  after: (Math.random() * 5.5).toFixed(3),
}))

describe.concurrent('after a kill at any moment, no process is left, and no line is sent twice', () => {
  test.for(kills)('killing the $target after $after s', async ({ target, after }, { onTestFinished }) => {
    const system = await startSystem({}, onTestFinished)
    const victim = target === 'progress reporter' ? '$REPORTER' : '$$'
    const simulated = await system.simulate({
      steps: `
- name: Write
  run: |
    REPORTER=$(cat "$PORT_LOG.progress/pid")
    echo "reporter $REPORTER" >> "$PORT_LOG"
    (sleep ${after}; kill -9 ${victim}) &
    for i in $(seq 100); do echo "line $i"; sleep 0.05; done >> "$PORT_LOG"
    wait
- name: After
  if: always()
  run: echo "after" >> "$PORT_LOG"`,
    })
    const lines = linesOf(system.run)
    const numbers = lines.flatMap(line => /^line (\d+)$/.exec(line)?.[1] ?? []).map(Number)
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b))
    // Killing a step loses no line. Killing the progress reporter loses only the lines that it was about to send.
    if (target === 'step') expect(numbers).toEqual(numbers.map((_, index) => index + 1))
    const own = simulated.jobs[0]!.steps.filter(({ kind }) => kind !== 'run')
    expect(own.filter(({ exitCode, stderr }) => exitCode || stderr)).toEqual([])
    expect(lines.filter(line => line === 'after')).toHaveLength(1)
    expect(simulated.jobs[0]!.orphans).toEqual([])
    const pid = lines.find(line => line.startsWith('reporter '))
    if (pid) expect(isAlive(Number(pid.split(' ')[1]))).toBe(false)
    const isFailed = target === 'step' && Number(after) < 4.5
    expect(isFailed ? ['FAILURE'] : ['SUCCESS', 'FAILURE']).toContain(system.run.status)
  })
})
