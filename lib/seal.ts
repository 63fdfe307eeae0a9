// Positions are stored, and travel in pipes and brokers, where no secret may be. But an API may repeat in the link to
// its next page what it was asked with. So a position leaves the source with each reference in place of what it
// stands for, and gets it back when the source is asked to go on: also after the secret was changed.

import { BizonError } from './errors.ts'
import type { Json } from './record.ts'
import { anyOf, recognisable, URL_FORMS } from './redact.ts'
import type { Position } from './source.ts'

export interface Seal {
  /** The position with references instead of secrets. */
  close(position: Position): Position
  /** The position as the source gave it. Throws when it needs a reference that the config does not have any more. */
  open(position: Position): Position
}

const MARK = '***'
const MARKED = /\*\*\*([^*]+)\*\*\*/g
/** Stands for a single star, so that no text looks like a mark. */
const STAR = '.'

/** As text, as part of a path, and as a form or a query has it. */
const FORMS: Readonly<Record<string, (text: string) => string>> = {
  '': (text) => text,
  'url ': URL_FORMS.path,
  'form ': URL_FORMS.form,
}

/** `referenced`: each reference, as it was written, and what it stands for. */
export function sealOf(referenced: ReadonlyMap<string, string>): Seal {
  const formOf = new Map([[STAR, '*']])
  const nameOf = new Map([['*', STAR]])
  for (const [reference, secret] of referenced) {
    if (recognisable([secret]).length === 0) continue
    for (const [kind, write] of Object.entries(FORMS)) {
      const form = write(Buffer.from(secret).toString())
      const name = `${kind}${reference.replaceAll('*', '%2A')}`
      formOf.set(name, form)
      if (!nameOf.has(form)) nameOf.set(form, name)
    }
  }
  if (nameOf.size === 1) return { close: (position) => position, open: (position) => position }
  const any = anyOf(nameOf.keys())
  return {
    close: (position) =>
      mapStrings(position, (text) => text.replace(any, (form) => `${MARK}${nameOf.get(form)}${MARK}`)) as Position,
    open: (position) =>
      mapStrings(position, (text) =>
        text.replace(MARKED, (_whole, name: string) => formOf.get(name) ?? unknown(name)),
      ) as Position,
  }
}

function mapStrings(value: Json, map: (text: string) => string): Json {
  if (typeof value === 'string') return map(value)
  if (Array.isArray(value)) return value.map((one: Json) => mapStrings(one, map))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [map(key), mapStrings(one as Json, map)]))
}

function unknown(name: string): never {
  throw new BizonError(
    'source',
    `the run stands at a position that holds ${name.replace(/^(?:url|form) /, '')}, which the config does not have`,
    {
      hint: `Put the reference back; or start over: set source.force_ignore_checkpoint to true for one run.`,
    },
  )
}
