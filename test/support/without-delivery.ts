/** Returns a Port log line without the delivery id, which differs between tests. */
export const withoutDelivery = (message: string) => message.replace(/ \([Dd]elivery [\w-]+\.?\)/, '')
