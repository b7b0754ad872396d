import { callAdmin } from './admin-client.ts'

/** Sends a failed delivery again: `redeliver ID`. */
export async function redeliver(env: Record<string, string | undefined>, args: string[]): Promise<void> {
  const [id] = args
  if (!id)
    throw new Error('Name the delivery: redeliver ID. `deliveries --state failed` lists those that can be.')
  await callAdmin(env, 'POST', `/api/deliveries/${encodeURIComponent(id)}/redeliver`)
  console.log(`Delivery ${id} is queued again.`)
}
