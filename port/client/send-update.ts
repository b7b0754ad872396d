import type { RunUpdate } from '../types.ts'
import { PortError } from './port-error.ts'

/**
 * Sends an update; one that ends the run does so even where Port refuses a link, a label or a summary: it is
 * sent again with less, and at last with the conclusion alone, rather than leaving the run in progress for ever.
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
      const ofContent = error instanceof PortError && error.kind === 'refused' && CONTENT.has(error.status)
      if (!ofContent || i === forms.length - 1) throw error
    }
  }
}

/** Statuses that a body was refused with. */
const CONTENT = new Set<number | null>([400, 413, 422])

const size = (update: RunUpdate): number => Object.values(update).filter(value => value !== undefined).length
