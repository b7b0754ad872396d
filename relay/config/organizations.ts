/**
 * A Port organization with its credentials. A delivery belongs to the organization whose secret verified the webhook.
 * Only that organization's credentials decrypt the delivery's inputs and authenticate to Port.
 */
export interface Organization {
  /** Stored with each delivery: `default` for the first organization, otherwise the client id. */
  id: string
  /** If null, the relay sends nothing to Port. */
  clientId: string | null
  /** The secrets that sign the organization's webhooks and encrypt its inputs. The current client secret is first. */
  secrets: string[]
}

export const DEFAULT_ORGANIZATION = 'default'
/** Excludes incomplete entries and comments, which others could guess. */
const SECRET = /^[^\s:#]+$/
const WITH_CLIENT_ID = /^(?!default:)([A-Za-z0-9_-]+):([^\s:#]+)$/

/** Reads the organizations. Appends to `problems` without including any part of a secret. */
export function readOrganizations(
  {
    clientId,
    clientSecret,
    previous,
    others,
  }: {
    clientId: string | null
    clientSecret: string
    /** The entries of `PORT_PREVIOUS_SECRETS`. */
    previous: string[]
    /** The entries of `PORT_ORGANIZATIONS`. */
    others: string[]
  },
  problems: string[],
): Organization[] {
  const first: Organization = { id: DEFAULT_ORGANIZATION, clientId, secrets: [clientSecret] }
  const found = new Map<string, Organization>()
  for (const [i, secret] of previous.entries()) {
    if (SECRET.test(secret)) first.secrets.push(secret)
    else
      problems.push(
        `PORT_PREVIOUS_SECRETS, entry ${i + 1}, must contain only a secret, without white space, colon, or #`,
      )
  }
  for (const [i, entry] of others.entries()) {
    const [, id, secret] = WITH_CLIENT_ID.exec(entry) ?? []
    if (id === undefined || secret === undefined) {
      problems.push(
        `PORT_ORGANIZATIONS, entry ${i + 1}, must be CLIENT_ID:SECRET, with a client id of Port and its secret, without white space, another colon, or #`,
      )
    } else if (id === clientId) {
      problems.push(
        `PORT_ORGANIZATIONS, entry ${i + 1}, contains the client id of PORT_CLIENT_ID: move its secret to PORT_PREVIOUS_SECRETS`,
      )
    } else {
      const organization = found.get(id) ?? { id, clientId: id, secrets: [] }
      organization.secrets.push(secret)
      found.set(id, organization)
    }
  }
  const all = [first, ...found.values()].map(each => ({ ...each, secrets: [...new Set(each.secrets)] }))
  const secrets = all.flatMap(each => each.secrets)
  if (new Set(secrets).size < secrets.length) {
    problems.push(
      'PORT_ORGANIZATIONS has the same secret for two organizations: use different secrets, because the secret shows which organization sent a webhook',
    )
  }
  return all
}
