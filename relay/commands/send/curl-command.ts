/** What `--curl` prints from. */
export interface CurlOptions {
  url: string
  body: string
  runIdHeader: string | null
  /** A file with the secret; without one it is in the environment. */
  secretFile: string | null
}

/**
 * A command for bash that signs a body with openssl and sends it with curl. The secret is named and not printed.
 * The body goes through a pipe: one argument holds no more than 128 KB on Linux.
 */
export function curlCommand({ url, body, runIdHeader, secretFile }: CurlOptions): string {
  const headers = [
    "-H 'content-type: application/json'",
    '-H "x-port-timestamp: $timestamp"',
    '-H "x-port-signature: $signature"',
    ...(runIdHeader ? [`-H ${quote(`RUN_ID: ${runIdHeader}`)}`] : []),
  ]
  return [
    '(',
    secretFile
      ? `secret=$(cat ${quote(secretFile)}) || exit 1`
      : 'secret=${PORT_CLIENT_SECRET:?is needed: the client secret of the Port organisation}',
    `body=${quote(body)}`,
    'timestamp=$(date +%s)',
    `signature="v1,$(printf '%s.%s' "$timestamp" "$body" | openssl dgst -sha256 -hmac "$secret" -binary | openssl base64 -A)"`,
    `printf '%s' "$body" | curl --silent --show-error ${quote(url)} ${headers.join(' ')} --data-binary @-`,
    ')',
  ].join('\n')
}

const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`
