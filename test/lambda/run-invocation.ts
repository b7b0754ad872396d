/** One invocation of the bundle in a process of its own: the event is its argument, the answer is printed. */
const { BUNDLE = '', TIMEOUT_MS = '', KILLED_MS = TIMEOUT_MS } = process.env
const endsAt = performance.now() + Number(TIMEOUT_MS)
const { handler } = await import(BUNDLE)
// The time limit: AWS ends the process there.
setTimeout(() => process.kill(process.pid, 'SIGKILL'), Number(KILLED_MS))
const answer = await handler(JSON.parse(process.argv[2]!), {
  getRemainingTimeInMillis: () => endsAt - performance.now(),
})
process.stdout.write(JSON.stringify({ answer, ms: performance.now() }), () => process.exit(0))
