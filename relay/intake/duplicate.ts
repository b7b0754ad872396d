import type { Invocation } from '../../port/types.ts'
import type { NewDelivery } from '../delivery/delivery.ts'
import { Problem } from '../http/problem.ts'
import { runKey } from '../store/sql/intake.ts'

export type Identity = Pick<NewDelivery, 'dedupeKey' | 'sentAs' | 'signature'>

/** @param digest the digest of timestamp and signature @param address the digest of path and query, which aren't signed */
export const identityOf = (
  { runId, runIdFrom }: Pick<Invocation, 'runId' | 'runIdFrom'>,
  digest: string,
  address: string,
): Identity => ({
  dedupeKey: runId ? runKey(runId) : `signed:${digest}`,
  sentAs: `${digest} ${address}`,
  signature: runIdFrom === 'body' ? null : digest,
})

export const usedElsewhere = () =>
  new Problem(
    409,
    "A webhook with this signature was received at another address. The address isn't signed, so a signature is valid for one address only: send each webhook to a single URL.",
  )
