// Near misses: what somebody who typed a name that does not exist most likely meant.

import { distance } from 'fastest-levenshtein'

/** The candidate closest to `word`, if one is close enough to be a slip of the fingers, or has a word more or less. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const allowed = word.length <= 5 ? 1 : word.length <= 8 ? 2 : 3
  let best: { candidate: string; slips: number } | undefined
  for (const candidate of candidates) {
    const slips = slipsBetween(word.toLowerCase(), candidate.toLowerCase())
    if (slips <= allowed && slips < word.length && slips < (best?.slips ?? Infinity)) best = { candidate, slips }
  }
  if (best !== undefined) return best.candidate
  const [only, ...others] = candidates.filter(
    (candidate) => candidate.startsWith(`${word}_`) || word.startsWith(`${candidate}_`),
  )
  return others.length === 0 && word !== '' ? only : undefined
}

/** Keys that are called otherwise elsewhere. */
const SYNONYMS: readonly (readonly string[])[] = [
  ['user', 'username', 'login'],
  ['pass', 'password', 'passwd', 'pwd'],
  ['vhost', 'virtual_host'],
  ['tls', 'ssl'],
  ['ca', 'ssl_ca', 'tls_ca', 'ca_cert', 'cafile', 'sslrootcert'],
  ['host', 'hostname'],
  ['brokers', 'broker', 'servers', 'server', 'bootstrap_servers', 'bootstrap_server'],
]

/** The key that is meant: one that has this name elsewhere, else the nearest. */
export function meantKey(key: string, known: readonly string[]): string | undefined {
  const names = SYNONYMS.find((group) => group.includes(key.toLowerCase())) ?? []
  return names.find((name) => known.includes(name)) ?? nearest(key, known)
}

/** The end of a sentence about an unknown name: a suggestion, else what there is, else nothing. */
export function suggestion(word: string, candidates: readonly string[], label: string): string {
  const near = nearest(word, candidates)
  if (near !== undefined) return `; did you mean ${JSON.stringify(near)}?`
  return candidates.length > 0 ? `; ${label}: ${[...candidates].sort().join(', ')}` : ''
}

/** Edit distance in which swapping two neighbours is one slip. */
function slipsBetween(word: string, candidate: string): number {
  let least = distance(word, candidate)
  for (let i = 0; i + 1 < word.length && least > 1; i++) {
    const swapped = `${word.slice(0, i)}${word[i + 1]}${word[i]}${word.slice(i + 2)}`
    least = Math.min(least, distance(swapped, candidate) + 1)
  }
  return least
}
