const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

/** The commands that pass the file's variables to the relay, by the value of --for. No command contains a secret. */
export const SETUP_COMMANDS: Record<string, (file: string, id: number, apiUrl: string | null) => string[]> = {
  file: file => [
    `In a clone: node --env-file=${quote(file)} relay/main.ts`,
    `With the npm package: node --env-file=${quote(file)} "$(npm root --global)/port-webhook-relay/cli.js"`,
  ],
  kubectl: file => [
    `kubectl create secret generic port-webhook-relay-github --from-env-file=${quote(file)}`,
    'kubectl set env deployment/port-webhook-relay --from=secret/port-webhook-relay-github GITHUB_TOKEN_FILE-',
    '# Also remove GITHUB_TOKEN_FILE from your relay.yaml, because kubectl apply would add it again.',
  ],
  docker: file => [
    `cat > ${OVERRIDE} <<'END'`,
    'services:',
    '  relay:',
    // Escape `$`, because Compose replaces variables.
    `    env_file: [${JSON.stringify(file).replaceAll('$', '$$$$')}]`,
    '    environment:',
    '      GITHUB_TOKEN_FILE: ""',
    'END',
    '# With PostgreSQL, also pass -f deploy/compose.postgres.yml.',
    `docker compose -f deploy/compose.yml -f ${OVERRIDE} up --build --detach`,
  ],
  systemd: (file, id, apiUrl) => [
    `sudo mkdir -p /etc/credstore.encrypted ${DROP_IN}`,
    encrypt(file, 'GITHUB_APP_PRIVATE_KEY', 'github-app-private-key'),
    encrypt(file, 'GITHUB_WEBHOOK_SECRET', 'github-webhook-secret'),
    `sudo tee ${DROP_IN}/github-app.conf <<'END'`,
    '[Service]',
    // Remove the credential of GITHUB_TOKEN.
    'LoadCredential=',
    'LoadCredential=port-client-secret:/etc/port-webhook-relay/port-client-secret',
    'LoadCredentialEncrypted=github-app-private-key:/etc/credstore.encrypted/github-app-private-key',
    'LoadCredentialEncrypted=github-webhook-secret:/etc/credstore.encrypted/github-webhook-secret',
    'UnsetEnvironment=GITHUB_TOKEN_FILE',
    `Environment=GITHUB_APP_ID=${id} GITHUB_APP_PRIVATE_KEY_FILE=%d/github-app-private-key GITHUB_WEBHOOK_SECRET_FILE=%d/github-webhook-secret${apiUrl === null ? '' : ` GITHUB_API_URL=${apiUrl}`}`,
    'END',
    'sudo systemctl daemon-reload && sudo systemctl restart port-webhook-relay',
    `shred --remove ${quote(file)} # the credentials are in the credential store`,
  ],
}

const encrypt = (file: string, variable: string, name: string) =>
  `sed -n 's/^${variable}=//p' ${quote(file)} | sudo systemd-creds encrypt --name=${name} - /etc/credstore.encrypted/${name}`
const DROP_IN = '/etc/systemd/system/port-webhook-relay.service.d'
const OVERRIDE = 'deploy/compose.github-app.yml'
