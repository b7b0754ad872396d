import { expect, test } from 'vitest'
import { startSystem } from './play.ts'
import { transcript } from './transcript.ts'

test('what steps append to $PORT_LOG becomes lines of the log of the Port run', async () => {
  const system = await startSystem()
  const simulated = await system.simulate({
    with: { live: 'false' },
    steps: `
- name: Plan
  run: |
    echo "3 to add, ✅" >> "$PORT_LOG"
    echo "" >> "$PORT_LOG"
- name: Apply
  run: printf 'applied\\r\\nno newline at the end' >> "$PORT_LOG"
`,
  })
  await expect(transcript(simulated, system)).toMatchFileSnapshot('transcripts/port-log.yml')
})

test('a log larger than a request comes whole and in order, in several', async () => {
  const { simulate: play, run } = await startSystem()
  await play({ steps: '- run: for i in $(seq 30000); do echo "line $i"; done >> "$PORT_LOG"' })

  expect(run.status).toBe('SUCCESS')
  const lines = run.logs.slice(1).flatMap(log => log.message.split('\n'))
  expect(lines.filter(line => line.startsWith('line '))).toEqual(
    Array.from({ length: 30_000 }, (_, index) => `line ${index + 1}`),
  )
  expect(run.logs.length).toBeLessThan(10)
})
