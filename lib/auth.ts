// `source.authentication`: the shapes a user may write, chosen by `type`, and what they put on a request.

import * as z from 'zod'

export const authenticationSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('bearer'), params: z.strictObject({ token: z.string().min(1) }) }),
])

export type Authentication = z.output<typeof authenticationSchema>

/** Made once for a client; called before each attempt. */
export interface Authenticator {
  /** The headers that identify the caller. Fetches a token first where that is needed; concurrent calls share one fetch. */
  headers(signal: AbortSignal): Promise<Readonly<Record<string, string>>>
  /** After a 401: drops what was used. Whether to try once more with what `headers` gives then. */
  renew(): boolean
  /** What must not be shown in an error or a log: tokens, passwords. Grows as tokens are fetched. */
  secrets(): readonly string[]
}
