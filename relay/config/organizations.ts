import { nearestName } from './values.ts'

/**
 * An organization of Port with its credentials. A delivery belongs to the one whose secret verified it; only its
 * credentials decrypt the inputs and send to Port for it.
 */
export interface Organization {
  /** Stored with each delivery: `default` for the first, `unreported` for plain secrets, else the client id. */
  id: string
  /** Null: nothing is sent to Port. */
  clientId: string | null
  /** The secrets that sign its webhooks and encrypt its inputs. The first is the client secret, the others are rotations. */
  secrets: string[]
}

export const DEFAULT_ORGANIZATION = 'default'
/** Its deliveries are dispatched; nothing is decrypted for them, and nothing sent to Port. */
const UNREPORTED = 'unreported'
const ROTATION = 'rotation'
const PREFIXED = /^([A-Za-z0-9_-]+):(\S(?:.*\S)?)$/s
/** Half an entry, or a comment, must not become a key: others know it. */
const ALONE = /^(?!rotation$)[^\s:#]+$/

/**
 * The organizations of `PORT_CLIENT_ID` and `PORT_CLIENT_SECRET`, and of the entries of `PORT_WEBHOOK_SECRETS`:
 * `rotation:SECRET` is another secret of the first, `CLIENT_ID:SECRET` another organization (or one more secret
 * of it), `SECRET` alone one that only verifies. What is wrong goes into `problems`, without any part of a secret.
 */
export function readOrganizations(
  first: { clientId: string | null; clientSecret: string },
  entries: string[],
  problems: string[],
): Organization[] {
  const found = new Map<string, Organization>()
  const add = (id: string, clientId: string | null, secret: string) => {
    const organization = found.get(id) ?? { id, clientId, secrets: [] }
    found.set(id, organization)
    if (!organization.secrets.includes(secret)) organization.secrets.push(secret)
  }
  add(DEFAULT_ORGANIZATION, first.clientId, first.clientSecret)
  for (const [i, entry] of entries.entries()) {
    const [, prefix, secret] = PREFIXED.exec(entry) ?? (ALONE.test(entry) ? [entry, undefined, entry] : [])
    if (secret === undefined) {
      problems.push(
        `PORT_WEBHOOK_SECRETS, entry ${i + 1}, must be rotation:SECRET, CLIENT_ID:SECRET or SECRET; a secret alone has no white space, colon or #`,
      )
    } else if (prefix === undefined) add(UNREPORTED, null, secret)
    else if (prefix === ROTATION) add(DEFAULT_ORGANIZATION, first.clientId, secret)
    else if (nearestName(prefix, [ROTATION, DEFAULT_ORGANIZATION, UNREPORTED])) {
      problems.push(
        `PORT_WEBHOOK_SECRETS, entry ${i + 1}, must begin with rotation: or with a client id of Port and a colon, or hold a secret alone`,
      )
    } else if (prefix === first.clientId) {
      problems.push(
        `PORT_WEBHOOK_SECRETS, entry ${i + 1}, names the client id of PORT_CLIENT_ID: write rotation: in front of a further secret of that organization`,
      )
    } else add(prefix, prefix, secret)
  }
  const all = [...found.values()]
  const owners = new Map<string, string>()
  for (const { id, secrets } of all) {
    for (const secret of secrets) {
      if (owners.has(secret) && !problems.includes(SAME_SECRET)) problems.push(SAME_SECRET)
      owners.set(secret, id)
    }
  }
  return all
}

const SAME_SECRET =
  'PORT_WEBHOOK_SECRETS names one secret for two organizations: a webhook signed with it cannot be attributed to one of them'
