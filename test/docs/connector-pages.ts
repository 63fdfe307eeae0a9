// docs/connectors: a page for every connector, from its definition, and a list of them. What no definition knows stands
// on the page between two marks, is written by hand, and is kept.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse as parseYaml, stringify } from 'yaml'
import { everyDestination, everySource } from '../../lib/config/json-schema.ts'
import { type JsonSchema, jsonSchemaOf } from '../../lib/config/json-schema-of.ts'
import { sourceSchema } from '../../lib/config/schema.ts'
import type { StreamInfo } from '../../lib/source.ts'
import { promises, promiseTable } from '../crash/promises.ts'
import { region } from '../support/recorded.ts'
import { CHECKOUT } from '../support/sandbox.ts'
import { keysOf, mappingsIn } from './keys.ts'
import { GENERATED } from './page.ts'
import { leastOf, NAME } from './samples.ts'

export type Kind = 'source' | 'destination'

export interface Connector {
  readonly kind: Kind
  readonly name: string
  readonly summary: string
  /** Of one that is not built yet. */
  readonly release?: string
  readonly own: JsonSchema
  /** Of a source. `*` stands for any name. */
  readonly streams: readonly StreamInfo[]
}

export async function everyConnector(): Promise<readonly Connector[]> {
  const sources = (await everySource()).map(({ shape, ...one }) => ({
    kind: 'source' as const,
    ...one,
    summary: shape.summary,
    own: jsonSchemaOf(shape.config),
    streams: shape.streams(),
  }))
  const destinations = (await everyDestination()).map(({ shape, ...one }) => ({
    kind: 'destination' as const,
    ...one,
    summary: shape.summary,
    own: jsonSchemaOf(shape.config),
    streams: [],
  }))
  return [...sources, ...destinations].map(({ kind, name, summary, own, streams, release }) => ({
    kind,
    name,
    summary,
    own,
    streams,
    ...(release !== undefined && { release }),
  }))
}

export const pageOf = ({ kind, name }: Connector): string => `docs/connectors/${kind}-${name}.md`

/** `before` is the page as it is now. */
export function connectorPage(connector: Connector, before: string): string {
  const { kind, name, summary, own, streams, release } = connector
  const at = kind === 'source' ? 'source' : 'destination.config'
  const keys = keysOf(own, at, { known: mappingsIn(jsonSchemaOf(sourceSchema), 'source', '../config.md') })
  const parts = [
    GENERATED,
    `# ${kind === 'source' ? 'Source' : 'Destination'} \`${name}\``,
    summary,
    ...(release === undefined ? [] : [laterNote(release)]),
    `<!-- notes: by hand, the only part of this page that is kept -->\n${region(before, 'notes') ?? ''}<!-- end of notes -->`,
    ...(kind === 'source' ? ['## Streams', streamTable(streams)] : []),
    '## Keys',
    keys === '' ? 'It has no keys of its own.' : `Under \`${at}\`:`,
    ...(keys === '' ? [] : [keys]),
    `Beside these stand the keys of [every ${kind}](../config.md#${kind}).`,
    '## Example',
    `\`\`\`yaml\n${exampleOf(connector)}\`\`\``,
    ...(release === undefined ? ['## What is promised', promiseOf(connector)] : []),
  ]
  return `${parts.join('\n\n')}\n`
}

export function indexPage(connectors: readonly Connector[]): string {
  const rows = (kind: Kind) =>
    connectors
      .filter((connector) => connector.kind === kind)
      .map(({ name, summary, release = '' }) => `| [\`${name}\`](${kind}-${name}.md) | ${summary} | ${release} |`)
  const head = ['| Name | | Comes with |', '| --- | --- | --- |']
  return `${[
    GENERATED,
    '# Connectors',
    'Where records can come from and where they can go. The keys that all of them share are in [config.md](../config.md).\nOne that names a release is not built yet: a pipeline file that names it is checked, not run.',
    '## Sources',
    [...head, ...rows('source')].join('\n'),
    '## Destinations',
    [...head, ...rows('destination')].join('\n'),
  ].join('\n\n')}\n`
}

const laterNote = (release: string): string =>
  `**Not built yet**: it comes with bizon ${release}. Until then a pipeline file that names it is checked, not run.`

function streamTable(streams: readonly StreamInfo[]): string {
  if (streams.length === 0) return 'Which streams there are depends on the config.'
  const rows = streams.map(({ name, incremental, resumable, primaryKey }) => {
    const modes = incremental ? '`full_refresh`, `incremental`, `stream`' : '`full_refresh`, `stream`'
    const shown = name === '*' ? 'any name' : `\`${name}\``
    return `| ${shown} | ${modes} | ${resumable ? 'yes' : 'no'} | ${(primaryKey ?? []).map((key) => `\`${key}\``).join(', ')} |`
  })
  return [
    '| Stream | Sync modes | A killed full refresh goes on | Primary key |',
    '| --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}

function promiseOf({ kind, name }: Connector): string {
  if (kind === 'source') {
    return [
      'After a crash an incremental run goes on where it was; a full refresh does where the table of streams says so, and',
      'starts over otherwise. What then arrives once, and what may arrive twice, is said for each destination in',
      '[delivery.md](../delivery.md).',
    ].join('\n')
  }
  const own = promises.filter(({ destination }) => destination === `\`${name}\``)
  const said = 'How it is kept, and how it is tested: [delivery.md](../delivery.md).'
  return own.length === 0 ? said : `${promiseTable(own)}\n${said}`
}

/** A whole pipeline with the connector in it: the first of examples/, else the least that its schema asks for. */
export function exampleOf({ kind, name, own, streams }: Connector): string {
  const folder = join(CHECKOUT, 'examples')
  const files = readdirSync(folder).filter((file) => file.endsWith('.yml'))
  for (const file of [`${name}.yml`, ...files.sort()].filter((one) => files.includes(one))) {
    const text = readFileSync(join(folder, file), 'utf8')
    if (parseYaml(text)?.[kind]?.name === name) return text.replace(/^(#.*\n)+\n*/, '')
  }
  const stream = streams.find((one) => one.name !== '*')?.name ?? NAME
  const keys = leastOf(own)
  const source = kind === 'source' ? { name, stream, ...keys } : { name: 'dummy', stream: 'creatures' }
  const destination = kind === 'destination' ? { name, config: keys } : { name: 'logger', config: {} }
  return stringify({ name: `${name.replaceAll('_', '-')}-example`, source, destination })
}
