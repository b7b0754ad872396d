import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { isUncertain } from '../../action/report/is-uncertain.ts'
import { createReporter } from '../../action/report/reporter.ts'
import { createLogSender } from '../../action/report/send-log.ts'
import { createFetch } from '../../action/runner/fetch.ts'
import { PortError } from '../../port/client/port-client.ts'
import type { LogLine } from '../../port/types.ts'

const line = (message: string): LogLine => ({ level: 'INFO', message })
const lost = (count: number) =>
  `… ${count === 1 ? '1 line' : `${count} lines`} may be missing here: Port's answer to ${count === 1 ? 'it' : 'them'} got lost.`

test.each<[string, unknown, boolean]>([
  ['a connection cut', cutBy('ECONNRESET'), true],
  ['no answer in time', cutBy(undefined), true],
  ['no connection', cutBy('ECONNREFUSED'), false],
  ['no such host', cutBy('ENOTFOUND'), false],
  ['a 500', new PortError('unreachable', 'x', { status: 500 }), true],
  ['a 504', new PortError('unreachable', 'x', { status: 504 }), true],
  ['a 503', new PortError('unreachable', 'x', { status: 503 }), false],
  ['a 429 of the relay', new PortError('unreachable', 'x', { status: 429 }), false],
  ['a 409', new PortError('unreachable', 'x', { status: 409 }), false],
  ['a 429', new PortError('later', 'x', { status: 429 }), false],
  ['a 400', new PortError('refused', 'x', { status: 400 }), false],
  ['trouble without a cause', new PortError('unreachable', 'x'), true],
  ['another error', new TypeError('x'), false],
])('after %s it is uncertain whether lines arrived: %o is %s', (_, error, expected) => {
  expect(isUncertain(error)).toBe(expected)
})

function cutBy(code: string | undefined): PortError {
  return new PortError('unreachable', 'x', { cause: Object.assign(new Error('y'), { code }) })
}

/** Sends to what answers with each of these errors in turn, then with none. */
function openSender(errors: (Error | null)[], late: () => boolean = () => false) {
  const sent: string[][] = []
  const send = createLogSender(async batch => {
    sent.push(batch.map(({ message }) => message))
    const error = errors.shift()
    if (error) throw error
  }, late)
  return { sent, send }
}

const BATCH = Array.from({ length: 60 }, (_, index) => line(`${index} ${'x'.repeat(7_000)}`))
const perBatch = 28

test('a batch whose answer got lost is not sent again, and a line in its place says so', async () => {
  const { sent, send } = openSender([null, cutBy('ECONNRESET')])
  await expect(send(BATCH)).rejects.toMatchObject({ kind: 'unreachable', linesSent: BATCH.length })
  expect(sent.map(batch => batch.length)).toEqual([perBatch, perBatch, 1 + BATCH.length - 2 * perBatch])
  expect(sent[2]![0]).toBe(lost(perBatch))
  expect(sent.flat().filter(message => !message.startsWith('…'))).toEqual(BATCH.map(({ message }) => message))
})

test('with nothing after it the line goes alone; where that is lost too, it goes with the next lines', async () => {
  const { sent, send } = openSender([cutBy('ECONNRESET'), cutBy('EPIPE'), null, cutBy(undefined), null])
  await expect(send([line('a')])).rejects.toMatchObject({ linesSent: 1 })
  await send([line('b'), line('c')])
  await expect(send([line('d'), line('e')])).rejects.toThrow('x')
  expect(sent).toEqual([['a'], [lost(1)], [lost(1), 'b', 'c'], ['d', 'e'], [lost(2)]])
})

test('an error that is sure says how many lines need to be sent again', async () => {
  const over = new PortError('ended', 'Over.')
  const first = openSender([null, over])
  await expect(first.send(BATCH)).rejects.toMatchObject({ message: 'Over.', linesSent: perBatch })
  const after = openSender([cutBy('ECONNRESET'), over])
  await expect(after.send(BATCH)).rejects.toMatchObject({ kind: 'unreachable', linesSent: perBatch })
  await expect(openSender([new TypeError('odd')]).send(BATCH)).rejects.toThrow('odd')
})

test('a batch that Port refuses is left out, the others go, and the first error is told at the end', async () => {
  const [first, second] = [new PortError('refused', 'Too odd.'), new PortError('refused', 'Odd.')]
  const { sent, send } = openSender([first, null, second])
  await expect(send(BATCH)).rejects.toBe(first)
  expect(sent.flat()).toEqual(BATCH.map(({ message }) => message))

  // Where answers get lost as well, nothing is tried for ever.
  const mixed = openSender([
    cutBy('EPIPE'),
    new PortError('refused', 'Odd.'),
    null,
    new PortError('refused', 'Odd.'),
  ])
  await expect(mixed.send(BATCH)).rejects.toThrow('x')
  expect(mixed.sent.map(batch => batch[0])).toEqual([BATCH[0]!.message, lost(perBatch), lost(perBatch)])
  const cut = openSender([new PortError('refused', 'Odd.'), cutBy('EPIPE'), cutBy('EPIPE')])
  await expect(cut.send(BATCH)).rejects.toMatchObject({ message: 'Odd.', linesLost: BATCH.length - perBatch })
  const mark = openSender([cutBy('EPIPE'), new PortError('refused', 'Odd.')])
  await expect(mark.send([line('a')])).rejects.toMatchObject({ message: 'x', linesLost: 1 })
})

test('when the time is over no further batch goes, and the error counts what is left', async () => {
  const { sent, send } = openSender([], () => sent.length === 2)
  await expect(send(BATCH)).rejects.toMatchObject({
    message: `no time was left for the last ${BATCH.length - 2 * perBatch} lines of it.`,
    linesSent: 2 * perBatch,
    temporary: true,
  })
  const one = openSender([], () => true)
  await expect(one.send(BATCH.slice(0, perBatch + 1))).rejects.toThrow('for the last line of it.')
  const away = openSender([cutBy(undefined)], () => true)
  await expect(away.send(BATCH)).rejects.toMatchObject({ message: 'x', linesSent: perBatch })
  expect([one.sent.length, away.sent.length]).toEqual([1, 1])
  await openSender([]).send([])
})

/** A reporter to a Port that answers as `answer` says, and what it got for the log. */
async function openReporter(answer: (path: string, logs: number) => 'cut' | number) {
  const got: string[] = []
  const server = http.createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    if (request.url!.endsWith('/logs')) got.push(JSON.parse(Buffer.concat(chunks).toString()).message)
    const status = answer(request.url!, got.length)
    if (status === 'cut') return request.socket.destroy()
    response.statusCode = status
    response.end(JSON.stringify({ accessToken: 't', expiresIn: 10_800 }))
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const portApiUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const reporter = createReporter(
    'r_1',
    { portApiUrl, portClientId: 'id', portClientSecret: 'secret' },
    { fetch: createFetch(), clock: Date.now, sleep: async () => {}, core: { setSecret: () => {} } },
    { budgetMs: 60_000, redact: text => text },
  )
  return { got, reporter }
}

test('Port that takes a line and cuts the connection shows it once', async () => {
  const { got, reporter } = await openReporter((_, logs) => (logs === 1 ? 'cut' : 200))
  await expect(reporter.log([line('one'), line('two')])).rejects.toThrow('Port did not answer POST')
  expect(got).toEqual(['one\ntwo', lost(2)])
})

test('after a 503 a line is sent again; without a token none is sent, and none counts as lost', async () => {
  let tokens = 0
  const { got, reporter } = await openReporter((path, logs) => {
    if (path.endsWith('access_token') && ++tokens <= 5) return 'cut'
    return logs === 1 ? 503 : 200
  })
  await expect(reporter.log([line('one')])).rejects.toMatchObject({ kind: 'unreachable', linesSent: 0 })
  expect(got).toEqual([])
  await expect(reporter.log([line('one')])).rejects.toMatchObject({ status: 503, linesSent: 0 })
  await reporter.log([line('one')])
  expect(got).toEqual(['one', 'one'])
})
