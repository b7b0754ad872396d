/** Runs one invocation of the bundle with the event in the argument, and prints the response. */
const { BUNDLE = '', TIMEOUT_MS = '' } = process.env
const endsAt = performance.now() + Number(TIMEOUT_MS)
const { handler } = await import(BUNDLE)
// AWS kills the process at its time limit.
setTimeout(() => process.kill(process.pid, 'SIGKILL'), Number(TIMEOUT_MS))
const response = await handler(JSON.parse(process.argv[2]!), {
  getRemainingTimeInMillis: () => endsAt - performance.now(),
})
const { user, system } = process.cpuUsage()
const measured = { ms: performance.now(), cpuMs: (user + system) / 1000 }
process.stdout.write(JSON.stringify({ response, ...measured }), () => process.exit(0))
