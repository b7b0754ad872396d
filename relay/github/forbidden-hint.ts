/** What to change after a 403, by GitHub's message. */
export function forbiddenHint(message: string, permission: string): string {
  if (/SAML/i.test(message)) return "authorize the relay's token for the organisation (SSO)"
  if (/IP allow list/i.test(message)) return "add the relay's address to the organisation's IP allow list"
  if (/archived/i.test(message)) return 'the repository is archived; unarchive it'
  return `its token or App needs the permission ${permission} on it`
}
