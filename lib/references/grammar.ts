// How references to secrets are written: `env://NAME`, `gsm://ID` or `file://PATH` as a whole value, `${env://NAME}`
// inside one, `$${` for the two characters, and the older `BIZON_ENV_NAME`. Only text; nothing is looked up here.

const SCHEMES = ['env', 'gsm', 'file'] as const
export type Scheme = (typeof SCHEMES)[number]

export interface Reference {
  readonly scheme: Scheme
  /** What follows `://`, trimmed. */
  readonly path: string
  /** As it was written, without `${` and `}`. */
  readonly text: string
}

/** What looks like a reference and is none. */
export interface Malformed {
  readonly text: string
  readonly problem: string
}

/** Literal text is a string. */
export type Piece = string | Reference | Malformed

const LEGACY = 'BIZON_ENV_'
const WHOLE = /^([a-z0-9_]+):\/\/(.*)$/s
const INLINE = /\$\$\{|\$\{([^}]*)\}/g
const UNCLOSED = new RegExp(`(?<!\\$)\\$\\{\\s*(?:${SCHEMES.join('|')})://[^}]*$`)
const KNOWN = SCHEMES.map((name) => `${name}://`).join(', ')
const NEEDS: Record<Scheme, string> = {
  env: 'the name of a variable',
  gsm: 'the id of a secret',
  file: 'the path of a file',
}

/** One string of a config, in pieces. Text that is not a reference is one literal piece. */
export function parseReferences(text: string): readonly Piece[] {
  if (text.startsWith(LEGACY)) return [{ scheme: 'env', path: text, text }]
  if (!text.includes('${')) return [wholeValue(text)]
  const pieces: Piece[] = []
  let end = 0
  for (const match of text.matchAll(INLINE)) {
    pieces.push(text.slice(end, match.index), match[1] === undefined ? '${' : inlineToken(match[0], match[1]))
    end = match.index + match[0].length
  }
  const rest = text.slice(end)
  pieces.push(
    UNCLOSED.test(rest)
      ? { text: rest.slice(rest.lastIndexOf('${')), problem: 'a ${ is never closed; add the missing }' }
      : rest,
  )
  return pieces.filter((piece) => piece !== '')
}

function wholeValue(text: string): Piece {
  const trimmed = text.trim()
  const [, scheme = '', path = ''] = WHOLE.exec(trimmed) ?? []
  if (isScheme(scheme)) return reference(scheme, path, trimmed)
  const loud = /^[A-Za-z]+(?=:\/\/)/.exec(trimmed)?.[0] ?? ''
  const meant = loud.toLowerCase()
  return isScheme(meant) ? { text: trimmed, problem: `${loud}:// is not a reference; write ${meant}://` } : text
}

function inlineToken(token: string, inner: string): Piece {
  const trimmed = inner.trim()
  const [, scheme, path = ''] = WHOLE.exec(trimmed) ?? []
  const shown = JSON.stringify(token)
  if (scheme === undefined) {
    const problem = `${shown} is not a reference; write \${env://NAME}, or $\${ for the two characters`
    return { text: token, problem }
  }
  if (!isScheme(scheme)) return { text: token, problem: `${shown} has an unknown scheme; known: ${KNOWN}` }
  return reference(scheme, path, trimmed)
}

function reference(scheme: Scheme, path: string, text: string): Piece {
  const trimmed = path.trim()
  if (trimmed === '') return { text, problem: `${scheme}:// needs ${NEEDS[scheme]}` }
  return { scheme, path: trimmed, text }
}

function isScheme(name: string): name is Scheme {
  return (SCHEMES as readonly string[]).includes(name)
}
