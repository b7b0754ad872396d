import type { Store } from '../store/store.ts'

/** The store with a line in the log of each delivery that has failed, whichever step found it: dispatch or watch. */
export function logFailed(store: Store, log: { warn: (fields: object, message: string) => void }): Store {
  return {
    ...store,
    async record(claimed, change, ...more) {
      const written = await store.record(claimed, change, ...more)
      // Read, since a run that reported meanwhile has the last word.
      const delivery =
        written && change.state === 'failed' ? await store.get(claimed.id).catch(() => null) : null
      if (delivery?.state === 'failed') {
        const { id, runId: run, repository, eventType: event, reason } = delivery
        log.warn({ delivery: id, run, repository, event }, `The delivery has failed: ${reason}`)
      }
      return written
    },
  }
}
