// Positions and watermarks are stored, and travel in pipes and brokers, where no secret may be. But an API may repeat in
// the link to its next page what it was asked with. So a position leaves the source with each reference in place of what it
// stands for, and gets it back when the source is asked to go on: also after the secret was changed.

import { BizonError } from './errors.ts'
import type { Json } from './record.ts'
import { anyOf, recognisable, URL_FORMS } from './redact.ts'
import { isMapping } from './references.ts'

export interface Seal {
  /** The position with references instead of secrets. */
  close<Value extends Json>(value: Value): Value
  /** The position as the source gave it. Throws when it needs a reference that the config does not have any more. */
  open<Value extends Json>(value: Value): Value
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
  if (nameOf.size === 1) return { close: (value) => value, open: (value) => value }
  const any = anyOf(nameOf.keys())
  return {
    close: (value) => mapStrings(value, (text) => text.replace(any, (form) => `${MARK}${nameOf.get(form)}${MARK}`)),
    open: (value) =>
      mapStrings(value, (text) => text.replace(MARKED, (_whole, name: string) => formOf.get(name) ?? unknown(name))),
  }
}

function mapStrings<Value extends Json>(value: Value, map: (text: string) => string): Value {
  const mapped = (one: Json): Json => {
    if (typeof one === 'string') return map(one)
    if (Array.isArray(one)) return one.map(mapped)
    if (!isMapping(one)) return one
    return Object.fromEntries(Object.entries(one).map(([key, inner]) => [map(key), mapped(inner as Json)]))
  }
  return mapped(value) as Value
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
