import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { until } from '../../tools/simulator/http-server.ts'
import { annotations, ownSteps, payloadFor, RUN_PATH, type System, startSystem } from './play.ts'
import { transcript } from './transcript.ts'

/** What Port got while the job ran: after the four requests of main, before the log and the final status of post. */
function sentMeanwhile({ port }: System): { path: string; body: Record<string, unknown>; at: number }[] {
  return port.requests
    .slice(4, -2)
    .map(({ path, body, at }) => ({ path, body: body as Record<string, unknown>, at }))
}

const linesOf = ({ run }: System) => run.logs.slice(1).flatMap(log => log.message.split('\n'))

describe.concurrent('while the job runs', () => {
  test('Port shows which step runs, and each new line once', async ({ expect, onTestFinished }) => {
    const system = await startSystem({}, onTestFinished)
    // Each step waits until Port has its label and its line, so that every run shows the same.
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
      const isShown = () => system.run.statusLabel === label && linesOf(system).length > index
      await until(isShown, `Port shows "${label}" and its line`)
      writeFileSync(join(pauses, String(index)), '')
    }
    await expect(transcript(await playing, system, { progress: true })).toMatchFileSnapshot(
      'transcripts/progress.yml',
    )
  })

  test('a token that may not read actions is asked with once, lines come all the same', async ({
    onTestFinished,
  }) => {
    const system = await startSystem({}, onTestFinished)
    const token = system.github.createToken({ kind: 'integration', permissions: { actions: 'none' } })
    await system.simulate({
      token,
      steps: '- run: for i in 1 2 3 4; do echo "line $i" >> "$PORT_LOG"; sleep 1.5; done',
    })
    expect(system.github.requests).toHaveLength(2)
    // In how many requests is a matter of how fast this machine is.
    expect(new Set(sentMeanwhile(system).map(({ path }) => path))).toEqual(new Set([`${RUN_PATH}/logs`]))
    expect(linesOf(system).slice(0, 4)).toEqual(['line 1', 'line 2', 'line 3', 'line 4'])
  })

  test('with a status-label of its own GitHub is not asked, and the label stays', async ({
    onTestFinished,
  }) => {
    const system = await startSystem({}, onTestFinished)
    await system.simulate({ with: { 'status-label': 'Rolling out' }, steps: '- run: sleep 4' })
    expect(sentMeanwhile(system)).toEqual([])
    expect(system.github.requests).toHaveLength(1)
  })

  test('with live: false nothing is sent before the end, and no process is started', async ({
    onTestFinished,
  }) => {
    const system = await startSystem({}, onTestFinished)
    const steps = '- run: echo line >> "$PORT_LOG"; sleep 4; test ! -e "$PORT_LOG.progress"'
    const simulated = await system.simulate({ with: { live: 'false' }, steps })
    expect(simulated.conclusion).toBe('success')
    expect(sentMeanwhile(system)).toEqual([])
    expect(linesOf(system)[0]).toBe('line')
  })

  test('a run of a node is shown its step with its link, which each call replaces', async ({
    onTestFinished,
  }) => {
    const system = await startSystem({}, onTestFinished)
    const node = system.port.createNodeRun({ id: 'wfnr_Zy98Xw76Vu54Ts32' })
    let shown: unknown
    await system.simulate({
      clientPayload: payloadFor(node.id),
      steps: '- { name: Build, run: echo line >> "$PORT_LOG"; sleep 4 }'.replace('; ', ' && '),
      onStep: ({ step }) => {
        if (step.name === 'Build' && step.status === 'completed') shown = structuredClone(node)
      },
    })
    expect(shown).toMatchObject({
      status: 'IN_PROGRESS',
      output: { statusLabel: 'Build (1/1)', workflowRunUrl: system.runUrl() },
      links: [system.runUrl()],
      logs: [{}, { level: 'INFO', message: 'line' }],
    })
  })

  test('somebody ending the Port run by hand ends the reports, and nothing else', async ({
    onTestFinished,
  }) => {
    const system = await startSystem({}, onTestFinished)
    const steps = '- run: for i in 1 2 3 4 5 6; do echo "line $i" >> "$PORT_LOG"; sleep 1; done'
    const ending = until(() => linesOf(system).includes('line 1'), 'Port shows the first line').then(() =>
      system.port.endRun(system.run.id, 'FAILURE'),
    )
    const simulated = await system.simulate({ steps })
    await ending
    expect(simulated).toMatchObject({ conclusion: 'success', jobs: [{ orphans: [] }] })
    // One refusal meanwhile, and one at the end.
    expect(system.port.requests.filter(({ status }) => status === 422)).toHaveLength(2)
    expect(annotations(ownSteps(simulated.jobs[0]!).post)).toEqual([
      expect.stringMatching(/^notice: No further updates are sent to Port/),
    ])
  })

  test('lines that Port refuses for the moment come later, once and in order', async ({ onTestFinished }) => {
    const system = await startSystem({}, onTestFinished)
    const isLog = ({ body }: { body: unknown }) => JSON.stringify(body ?? '').includes('line 1')
    system.port.fail({ match: isLog, status: 429, headers: { 'retry-after': '1' } })
    await system.simulate({
      steps: '- run: for i in 1 2 3 4 5 6 7; do echo "line $i" >> "$PORT_LOG"; sleep 1; done',
    })
    expect(system.port.requests.filter(isLog)).toHaveLength(2)
    expect(linesOf(system).filter(line => line.startsWith('line'))).toEqual(
      [1, 2, 3, 4, 5, 6, 7].map(part => `line ${part}`),
    )
  })

  test('a burst is batched, a long line cut, and a line being written waits for its end', async ({
    onTestFinished,
  }) => {
    const system = await startSystem({}, onTestFinished)
    const steps = `
- run: |
    seq 5000 >> "$PORT_LOG"
    head -c 20000 /dev/zero | tr '\\0' x >> "$PORT_LOG"
    sleep 3
    echo " end of it" >> "$PORT_LOG"
    sleep 3
    printf 'half' >> "$PORT_LOG"
    sleep 3
    printf ' and half' >> "$PORT_LOG"`
    await system.simulate({ steps })
    expect(sentMeanwhile(system).filter(({ path }) => path.endsWith('/logs')).length).toBeLessThanOrEqual(2)
    const lines = linesOf(system)
    expect(lines.slice(0, 5_000)).toEqual(Array.from({ length: 5_000 }, (_, index) => `${index + 1}`))
    expect(lines[5_000]!.slice(7_990)).toBe('xxxxxxxxxx… (cut from 20010 characters)')
    expect(lines.slice(5_001)).toContain('half and half')
  })

  test('lines of Windows PowerShell 5, in UTF-16, come as text', async ({ onTestFinished }) => {
    const system = await startSystem({}, onTestFinished)
    const steps = `
- run: |
    printf 'from bash\\n' >> "$PORT_LOG"
    printf 'Größe ✓ 漢字\\r\\nzwei\\r\\n' | iconv -f UTF-8 -t UTF-16LE >> "$PORT_LOG"
    printf 'bash ✓ again\\n' >> "$PORT_LOG"
    sleep 3
    printf 'last' | iconv -f UTF-8 -t UTF-16LE >> "$PORT_LOG"`
    await system.simulate({ steps })
    const lines = linesOf(system)
    expect(lines.slice(0, 4)).toEqual(['from bash', 'Größe ✓ 漢字', 'zwei', 'bash ✓ again'])
    expect(lines).toContain('last')
  })
})
