const WORKFLOW = 'Workflow deploy.yml in acme/shop'

/**
 * GitHub's responses to a `workflow_dispatch` of deploy.yml on "main" of acme/shop with the input `service`. The value
 * of the input is `hunter2`. Status → GitHub's message ('': none) → the message for the user.
 */
export const REFUSALS: Record<number, Record<string, string>> = {
  403: {
    'Resource not accessible by personal access token':
      "GitHub doesn't let the relay start workflow deploy.yml in acme/shop (403: Resource not accessible by personal access token): the relay's token or App needs the permission Actions: write on the repository.",
    'Resource protected by organization SAML enforcement.':
      "GitHub doesn't let the relay start workflow deploy.yml in acme/shop (403: Resource protected by organization SAML enforcement.): authorize the relay's token for the organization (SSO).",
    'the `acme` organization has an IP allow list enabled':
      "GitHub doesn't let the relay start workflow deploy.yml in acme/shop (403: the `acme` organization has an IP allow list enabled): add the relay's address to the organization's IP allow list.",
    'Repository was archived so is read-only.':
      "GitHub doesn't let the relay start workflow deploy.yml in acme/shop (403: Repository was archived so is read-only.): the repository is archived; unarchive it.",
  },
  404: {
    'Not Found':
      "GitHub finds no workflow deploy.yml in acme/shop: the repository doesn't exist, or .github/workflows on its default branch doesn't contain the file, or the relay's token lacks Actions: write on the repository.",
  },
  410: {
    '': 'GitHub rejected the dispatch of workflow deploy.yml in acme/shop on "main" (410: no reason given).',
  },
  422: {
    "Required input 'service' not provided": `${WORKFLOW} requires the input "service", which Port didn't send: add it to the inputs of the action in Port, or give it a default in the workflow.`,
    'Unexpected inputs provided: not a list': `${WORKFLOW} doesn't declare the inputs not a list on "main": declare them under "on: workflow_dispatch: inputs:", or remove them from the action in Port.`,
    'Unexpected inputs provided: ["other"]': `${WORKFLOW} doesn't declare the inputs ["other"] on "main": declare them under "on: workflow_dispatch: inputs:", or remove them from the action in Port.`,
    'No ref found for: main':
      'acme/shop has no branch or tag "main": correct the target\'s ref, or remove it to use the default branch.',
    "Workflow does not have 'workflow_dispatch' trigger": `${WORKFLOW} has no trigger workflow_dispatch on "main": add "workflow_dispatch:" to its "on:".`,
    "Cannot trigger a 'workflow_dispatch' on a disabled workflow": `${WORKFLOW} is disabled: enable it on GitHub (Actions, the workflow, Enable workflow).`,
    "Provided value 'hunter2' for input 'service' not in the list of allowed values": `${WORKFLOW} doesn't accept the value of its input "service": give the input in Port the options that the workflow lists.`,
    "Invalid value 'hunter2' for input 'count'": `${WORKFLOW} doesn't accept the value of its input "count": give the input in Port the type that the workflow declares.`,
    'Invalid request.\n\nNo more than 10 properties are allowed; 11 were supplied.':
      'Workflow deploy.yml in acme/shop gets more inputs than GitHub allows: send fewer inputs from Port, or group several inputs in an object.',
    'inputs are too large.':
      'The inputs for workflow deploy.yml in acme/shop are too large: GitHub accepts at most 65,535 characters in total. Send less data from Port.',
    'Something of hunter2 is new':
      'GitHub rejected the dispatch of workflow deploy.yml in acme/shop on "main" (422: Something of *** is new).',
  },
}
