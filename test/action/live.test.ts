import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { isAlive } from '../../action/progress/process.ts'
import { createFetch } from '../../action/runner/runner.ts'
import { createPortClient } from '../../port/client/client.ts'
import { until } from '../../simulator/http-server.ts'
import { openProxy } from '../support/proxy.ts'
import { linesOf, startSystem } from './play.ts'
import { transcript } from './transcript.ts'

/** `PLAY_KILLS=50 npx vitest run test/action/live.test.ts` runs 50 random cases instead of 2. */
const KILLS = Number(process.env.PLAY_KILLS ?? 2)

const kills = Array.from({ length: KILLS }, (_, index) => ({
  target: (['progress reporter', 'step'] as const)[index % 2]!,
  after: (Math.random() * 5.5).toFixed(3),
}))

describe.concurrent('while the job runs', () => {
  test('Port shows the last running step, and each new line once', async ({ expect, onTestFinished }) => {
    const system = await startSystem({}, onTestFinished)
    // Each step waits until Port has its label and line, so that the transcript is always the same.
    const pauses = mkdtempSync(join(tmpdir(), 'gates-'))
    onTestFinished(() => rmSync(pauses, { recursive: true, force: true }))
    const steps = ['Build image', 'Roll out'].map(
      (name, index) => `
- name: ${name}
  run: |
    echo "${name} begins" >> "$PORT_LOG"
    until test -e ${pauses}/${index}; do sleep 0.1; done`,
    )
    const server = `\n- { name: Serve, background: true, run: 'until test -e ${pauses}/1; do sleep 0.1; done' }`
    const playing = system.simulate({ steps: server + steps.join('') })
    for (const [index, label] of ['Build image (2/3)', 'Roll out (3/3)'].entries()) {
      const isShown = () => system.run.statusLabel === label && linesOf(system.run).length > index + 1
      await until(isShown, `Port shows "${label}" and its line`)
      writeFileSync(join(pauses, String(index)), '')
    }
    await expect(transcript(await playing, system, { progress: true })).toMatchFileSnapshot(
      'transcripts/progress.yml',
    )
  })

  test.for(kills)(
    'killing the $target after $after s leaves no process and sends no line twice',
    async ({ target, after }, { onTestFinished }) => {
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
      // Killing a step loses no line. Killing the progress reporter can lose only the lines that it was about to send.
      if (target === 'step') expect(numbers).toEqual(numbers.map((_, index) => index + 1))
      const own = simulated.jobs[0]!.steps.filter(({ kind }) => kind !== 'run')
      expect(own.filter(({ exitCode, stderr }) => exitCode || stderr)).toEqual([])
      expect(lines.filter(line => line === 'after')).toHaveLength(1)
      expect(simulated.jobs[0]!.orphans).toEqual([])
      const pid = lines.find(line => line.startsWith('reporter '))
      if (pid) expect(isAlive(Number(pid.split(' ')[1]))).toBe(false)
      const isFailed = target === 'step' && Number(after) < 4.5
      expect(isFailed ? ['FAILURE'] : ['SUCCESS', 'FAILURE']).toContain(system.run.status)
    },
  )
})

test('requests use the proxy unless the host is in no_proxy', async () => {
  const { port } = await startSystem()
  const { url, hosts } = await openProxy(port.url)
  onTestFinished(() => void vi.unstubAllEnvs())
  vi.stubEnv('http_proxy', url)

  const { clientId, clientSecret } = port
  const client = (apiUrl: string) =>
    createPortClient({ apiUrl, clientId, clientSecret, fetch: createFetch() })
  await client('http://port.example').authorize()
  expect(hosts).toEqual(['port.example:80'])
  expect(port.requests).toHaveLength(1)

  vi.stubEnv('no_proxy', 'port.invalid')
  await expect(client('http://port.invalid').authorize()).rejects.toMatchObject({ kind: 'unreachable' })
  expect(hosts).toHaveLength(1)
})
