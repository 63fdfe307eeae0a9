// The schemas that messages need are there before any of a page is decoded.

import { BizonError } from '../../../lib/errors.ts'
import type { Decoder } from './decode.ts'
import { idOf } from './message.ts'
import type { Span } from './span.ts'
import { Undecodable } from './undecodable.ts'

const PARTS = [
  ['key', 'keyEnd'],
  ['value', 'valueEnd'],
] as const

/** Rejects when the registry does not give one. */
export async function loadSchemas(
  decoders: { readonly key: Decoder; readonly value: Decoder },
  spans: readonly Span[],
  signal: AbortSignal,
): Promise<void> {
  decoders.value.schemas?.all.trim()
  decoders.key.schemas?.all.trim()
  for (const [part, partEnd] of PARTS) {
    const { schemas } = decoders[part]
    if (!schemas) continue
    for (const { topic, partition, messages, start, end } of spans) {
      for (let at = start; at < end; at++) {
        const [from, to] = [messages[part](at), messages[partEnd](at)]
        if (to === from) continue
        const id = idIn(messages.bytes.subarray(from, to), schemas.of)
        if (id === undefined || schemas.all.known(id)) continue
        await schemas.all.load(id, signal).catch((error) => {
          throw signal.aborted ? error : placed(error, idOf(topic, partition, messages.offset(at)))
        })
      }
    }
  }
}

/** Undefined: that there is none is told when the message is decoded. */
function idIn(bytes: Buffer, of: (bytes: Buffer) => string): string | undefined {
  try {
    return of(bytes)
  } catch (error) {
    if (error instanceof Undecodable) return undefined
    throw error
  }
}

function placed(error: unknown, id: string): unknown {
  if (!(error instanceof BizonError)) return error
  const { code, message, hint, retriable } = error
  return new BizonError(code, `${id}: ${message}`, { hint, retriable, cause: error })
}
