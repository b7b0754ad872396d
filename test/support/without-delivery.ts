/** A line of Port's log without the delivery's id, which differs from test to test. */
export const withoutDelivery = (message: string) => message.replace(/ \([Dd]elivery [\w-]+\.?\)/, '')
