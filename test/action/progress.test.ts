import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { until } from '../../tools/simulator/http-server.ts'
import { linesOf, startSystem } from './play.ts'
import { transcript } from './transcript.ts'

describe.concurrent('while the job runs', () => {
  test('Port shows the running step, and each new line once', async ({ expect, onTestFinished }) => {
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
    const playing = system.simulate({ steps: steps.join('') })
    for (const [index, label] of ['Build image (1/2)', 'Roll out (2/2)'].entries()) {
      const isShown = () => system.run.statusLabel === label && linesOf(system.run).length > index + 1
      await until(isShown, `Port shows "${label}" and its line`)
      writeFileSync(join(pauses, String(index)), '')
    }
    await expect(transcript(await playing, system, { progress: true })).toMatchFileSnapshot(
      'transcripts/progress.yml',
    )
  })

  test('with `live: false`, nothing is sent before the post step, and no process is started', async ({
    onTestFinished,
  }) => {
    const system = await startSystem({}, onTestFinished)
    const steps = '- run: echo line >> "$PORT_LOG"; sleep 4; test ! -e "$PORT_LOG.progress"'
    const simulated = await system.simulate({ with: { live: 'false' }, steps })
    expect(simulated.conclusion).toBe('success')
    // Main sends four requests, and post sends two.
    expect(system.port.requests).toHaveLength(6)
    expect(linesOf(system.run)[1]).toBe('line')
  })
})
