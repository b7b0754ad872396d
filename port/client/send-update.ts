import type { RunUpdate } from '../types.ts'
import { PortError, type PortErrorKind } from './port-error.ts'

/**
 * Sends an update; one that ends the run does so even where Port rejects a link, a label or a summary: it is
 * sent again with less, and at last with the conclusion alone, rather than leaving the run in progress for ever.
 * Who answers so does not matter: a gateway may reject a body for its content, too.
 *
 * @throws PortError
 */
export async function sendUpdate(
  update: RunUpdate,
  send: (update: RunUpdate) => Promise<unknown>,
): Promise<void> {
  const { conclusion, summary } = update
  const forms = [update]
  if (conclusion !== undefined) {
    for (const less of [{ conclusion, summary }, { conclusion }]) {
      if (size(less) < size(forms.at(-1) as RunUpdate)) forms.push(less)
    }
  }
  for (const [i, form] of forms.entries()) {
    try {
      await send(form)
      return
    } catch (error) {
      const ofContent =
        error instanceof PortError && KINDS.has(error.kind) && !error.ofToken && CONTENT.has(error.status)
      if (!ofContent || i === forms.length - 1) throw error
    }
  }
}

const KINDS = new Set<PortErrorKind>(['refused', 'unreachable'])
/** Statuses that a body was rejected with. */
const CONTENT = new Set<number | null>([400, 413, 422])

const size = (update: RunUpdate): number => Object.values(update).filter(value => value !== undefined).length
