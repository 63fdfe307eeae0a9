// What an API says in the body of a refusal, as a line for people: out of the usual shapes of JSON, or out of a page.

const LONGEST = 300
/** In the order in which they say most. */
const NAMES = ['error_description', 'message', 'detail', 'error', 'errors', 'title', 'msg', 'description', 'reason']
const DEEPEST = 5

/** Undefined if there is nothing to show. */
export function apiMessage(body: Buffer): string | undefined {
  const text = body.toString('utf8')
  const said = oneLine(fromJson(text) ?? fromPage(text))
  if (said === '') return undefined
  return said.length > LONGEST ? `${said.slice(0, LONGEST)}…` : said
}

function fromJson(text: string): string | undefined {
  if (!/^\s*[{["]/.test(text)) return undefined
  try {
    return said(JSON.parse(text), 0)
  } catch {
    return undefined
  }
}

function said(value: unknown, depth: number): string | undefined {
  if (typeof value === 'string') return value.trim() === '' ? undefined : value
  if (typeof value !== 'object' || value === null || depth === DEEPEST) return undefined
  if (Array.isArray(value)) return said(value[0], depth + 1)
  for (const name of NAMES) {
    const inner = Object.hasOwn(value, name) ? said(Reflect.get(value, name), depth + 1) : undefined
    if (inner !== undefined) return inner
  }
  return undefined
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' }

function fromPage(text: string): string {
  if (!/<[a-z!][^>]*>/i.test(text)) return text
  return text
    .replace(/<!--.*?-->|<(script|style|head)\b.*?<\/\1\s*>/gis, ' ')
    .replace(/<[^>]*>?/g, ' ')
    .replace(/&(amp|lt|gt|quot|apos|nbsp);/g, (_, name: string) => ENTITIES[name] ?? ' ')
}

/** Without what a terminal would obey. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s\ufffd]+/gu, ' ').trim()
}
