// What topics are called: by the destination id, as it is.

import { targetOf } from '../../../lib/audit/reader.ts'
import { InvalidKey, inDestination } from '../../../lib/config/invalid-key.ts'

/** Rejects what no topic can be called. */
export function checkedTopic(name: string): string {
  if (/^[A-Za-z0-9._-]{1,249}$/.test(name) && name !== '.' && name !== '..') return name
  throw new InvalidKey(inDestination('destination_id'), `${JSON.stringify(name)}: no topic can be called so`, {
    hint: 'Use letters, digits, dots, dashes and underscores, at most 249.',
    shown: name,
  })
}

/** Of a stream whose records name none. */
export function targetIn(options: { readonly destinationId: string }, stream: string): string {
  return checkedTopic(targetOf(options, stream))
}
