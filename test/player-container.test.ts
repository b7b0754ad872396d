import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { clientPayload, isRunning, playSteps, seen } from './play-steps.ts'
import type { PlayedJob } from './support/player/types.ts'
import { whyNoContainer } from './support/player/why-no-container.ts'

const noContainer = await whyNoContainer()
if (noContainer) console.warn(`Jobs in containers are not tested here: ${noContainer}`)

describe.skipIf(noContainer)('a job in a container', () => {
  it('runs its steps inside, with the paths of the container, and only expressions keep those of the machine', async () => {
    const { job, step } = await playSteps(
      `- uses: ./echo-action
- name: Look
  env: { MINE: "\${{ runner.temp }}/mine" }
  run: |
    echo "$PPID $(tr '\\0' ' ' < /proc/1/cmdline)"
    echo "$PWD \${BASH_VERSION-sh} $CI $FROM_JOB $MINE $GREETED"
    test -e '\${{ runner.temp }}' || echo "hidden: \${{ runner.temp }}"
    test '\${{ job.container.id }}' != '' && echo '\${{ job.container.network }}'
    mkdir bin; printf '#!/bin/sh\\necho tool' > bin/tool; chmod +x bin/tool
    echo "$PWD/bin" >> "$GITHUB_PATH"
- run: tool; kill -9 $$
  name: End
  shell: bash
- run: echo
  name: Elsewhere
  if: always()
  working-directory: nowhere`,
      { env: { MACHINE: 'yes' } },
      '\n    container: { image: "node:${{ vars.NODE }}", env: { FROM_JOB: container } }',
    )
    const { env, event, node } = seen(step('Run ./echo-action'))
    expect(node).toBe(process.version)
    expect(event.client_payload).toEqual(clientPayload)
    expect(env).toMatchObject({
      GITHUB_ACTION_PATH: '/__w/_actions/acme/shop/main/echo-action',
      GITHUB_EVENT_PATH: '/github/workflow/event.json',
      GITHUB_OUTPUT: expect.stringMatching(/^\/__w\/_temp\/_runner_file_commands\/set_output_/),
      GITHUB_WORKSPACE: '/__w/shop/shop',
      HOME: '/github/home',
      RUNNER_TEMP: '/__w/_temp',
      RUNNER_TOOL_CACHE: '/__t',
      RUNNER_WORKSPACE: '/__w/shop',
      FROM_JOB: 'container',
    })
    expect(Object.keys(env)).not.toContain('MACHINE')
    expect(Object.keys(env)).not.toContain('RUNNER_TRACKING_ID')
    expect(step('Look').stdout.split('\n')).toEqual([
      '0 tail -f /dev/null ',
      '/__w/shop/shop sh true container /__w/_temp/mine nobody',
      expect.stringMatching(/^hidden: .*played-run-.*_temp$/),
      expect.stringMatching(/^github_network_[0-9a-f]{32}$/),
      '',
    ])
    expect(step('End')).toMatchObject({ stdout: 'tool\n', exitCode: 137, conclusion: 'failure' })
    expect(step('Elsewhere')).toMatchObject({ exitCode: 125, conclusion: 'failure' })
    expect(seen(step('Post Run ./echo-action')).env).toMatchObject({ STATE_who: 'nobody' })
    expect(job.steps.map(({ number, name, conclusion }) => [number, name, conclusion])).toEqual([
      [1, 'Set up job', 'success'],
      [2, 'Initialize containers', 'success'],
      [3, 'Run ./echo-action', 'success'],
      [4, 'Look', 'success'],
      [5, 'End', 'failure'],
      [6, 'Elsewhere', 'failure'],
      [11, 'Post Run ./echo-action', 'success'],
      [12, 'Stop containers', 'success'],
      [13, 'Complete job', 'success'],
    ])
  })

  it('leaves nothing behind: what was cancelled or detached runs on until the container ends', async () => {
    // `tail` prints once it runs: each of them is there, under its own name, before the next thing happens.
    const { job, step } = await playSteps(
      `- run: echo detached > a; tail -f a > b 2>&1 & until test -s b; do sleep 0.01; done
- run: echo started > c; exec tail -f c
  name: Slow`,
      { cancelAt: 'Slow' },
      '\n    container: node:24',
    )
    expect(step('Slow')).toMatchObject({ conclusion: 'cancelled', exitCode: 130 })
    expect(job.orphans.map(({ command }) => command).sort()).toEqual(['tail -f a', 'tail -f c'])
    for (const { pid } of [...job.orphans, job.container!]) expect(isRunning(pid)).toBe(false)
  })

  it('has actions of the repository only, and ends also when another is refused', async () => {
    let container: PlayedJob['container'] = null
    const elsewhere = playSteps(
      '- run: echo\n- uses: acme/other@v1',
      {
        actions: { 'acme/other@v1': join(import.meta.dirname, '..') },
        onStep: ({ job }) => {
          container = job.container
        },
      },
      '\n    container: node:24',
    )
    await expect(elsewhere).rejects.toThrow('"acme/other@v1" in a container')
    expect(isRunning(container!.pid)).toBe(false)
  })
})
