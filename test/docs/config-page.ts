// docs/config.md: every key that does not belong to one connector. The words around the tables are here.

import { type JsonSchema, jsonSchemaOf, withKeys } from '../../lib/config/json-schema-of.ts'
import {
  destinationConfigSchema,
  destinationSchema,
  engineSchemaWith,
  pipelineSchema,
  sourceSchema,
} from '../../lib/config/schema.ts'
import { brokerConfigs } from '../../lib/registry.ts'
import { keysOf } from './keys.ts'
import { GENERATED } from './page.ts'

interface Block {
  readonly title: string
  readonly schema: JsonSchema
}

const brokers = await brokerConfigs()

/** The blocks of a file, in the order in which they are shown. */
export function blocks(): readonly Block[] {
  const top = jsonSchemaOf(pipelineSchema)
  const inner: Readonly<Record<string, JsonSchema>> = {
    ...top.properties,
    source: { ...top.properties?.source, ...jsonSchemaOf(sourceSchema) },
    destination: { ...top.properties?.destination, ...destination() },
    engine: { ...top.properties?.engine, ...jsonSchemaOf(engineSchemaWith(brokers)) },
  }
  const first = ['source', 'destination', 'engine']
  const others = Object.keys(inner).filter((key) => !first.includes(key))
  return [...first, ...others].map((title) => ({ title, schema: inner[title] ?? {} }))
}

function destination(): JsonSchema {
  const keys = jsonSchemaOf(destinationSchema)
  const { description = '' } = keys.properties?.config ?? {}
  return withKeys(keys, { properties: { config: { ...jsonSchemaOf(destinationConfigSchema), description } } })
}

/** A piece for a pipeline file, to be read beside the table of its block. */
export const EXAMPLES: Readonly<Record<string, string>> = {
  source: `source:
  name: file
  stream: orders
  path: orders.ndjson # a key of the file source
  sync_mode: incremental
`,
  destination: `destination:
  name: file
  config:
    destination_id: output/orders
    buffer_size: 10 # MiB
`,
  engine: `engine:
  backend:
    type: sqlite
    config:
      database: state/bizon # the file state/bizon.sqlite3
      syncCursorInDBEvery: 5 # pages
  runner:
    log_level: WARNING
`,
  transforms: `transforms:
  - label: only-rain
    javascript: "return data.weather === 'rain' ? data : null"
`,
  alerting: `alerting:
  type: slack
  log_levels: [ERROR, CRITICAL]
  config:
    webhook_url: env://SLACK_WEBHOOK
`,
  monitoring: `monitoring:
  type: datadog
  config:
    datadog_agent_host: localhost
    tags:
      team: shop
`,
  secrets: `secrets:
  gsm:
    project_id: shop-secrets
`,
  streams: `source:
  name: kafka
  stream: topic
  sync_mode: stream # which streams need
  bootstrap_servers: broker.example:9093
  authentication:
    params:
      username: loader
      password: env://KAFKA_PASSWORD

destination:
  name: bigquery_streaming_v2
  config:
    project_id: shop
    dataset_id: raw
    unnest: true

streams:
  - name: orders
    source:
      topic: shop.orders
    destination:
      table_id: shop.raw.orders
      record_schema:
        - {name: order_id, type: INTEGER, mode: REQUIRED}
        - {name: placed_at, type: TIMESTAMP, mode: NULLABLE}
`,
}

const NEEDED = ['name', 'source', 'destination']

export function configPage(): string {
  const top = jsonSchemaOf(pipelineSchema)
  const sections = blocks().flatMap(({ title, schema }) => {
    const keys = keysOf(schema.items ?? schema, title)
    return keys === '' ? [] : [{ title, keys, description: schema.description ?? '' }]
  })
  const outline = Object.entries(top.properties ?? {}).map(([key, { description = '' }]) => {
    const hasSection = sections.some(({ title }) => title === key)
    const name = hasSection ? `[\`${key}\`](#${key})` : `\`${key}\``
    return `| ${name} | ${NEEDED.includes(key) ? '**required**' : ''} | ${description} |`
  })
  const contents = ['| Key | | What it is for |', '| --- | --- | --- |', ...outline].join('\n')
  const parts = [GENERATED, INTRODUCTION, contents]
  for (const { title, keys, description } of sections) {
    const example = EXAMPLES[title] === undefined ? [] : [`\`\`\`yaml\n${EXAMPLES[title]}\`\`\``]
    parts.push(...[`## \`${title}\``, description, NOTES[title] ?? '', ...example, keys].filter((part) => part !== ''))
  }
  return `${parts.join('\n\n')}\n`
}

const INTRODUCTION = `# The pipeline file

One file is one pipeline: a name, a source, a destination, and what is between them. These are the keys that do not belong
to one connector; those that do are on [the page of each connector](connectors/README.md). \`bizon check FILE\` says
everything that is wrong with a file at once. An editor with a YAML language server completes keys and shows this text,
if the file's first line is

\`\`\`text
# yaml-language-server: $schema=bizon.schema.json
\`\`\`

and \`bizon schema --out bizon.schema.json\` wrote that file beside it.

How a file is read:

- It is YAML 1.1: \`yes\`, \`no\`, \`on\` and \`off\` are booleans. One document; a key that stands twice is an error.
- A key that is not known is an error that says which one was meant.
- A key without a value (\`reset:\`) has its default.
- A number or a boolean may be written as text (\`"10"\`, \`"yes"\`); a number is never taken for text: a version or a
  postcode needs quotes.
- Any value that is text may be or hold a [reference](guide.md#secrets) to something outside the file, such as
  \`env://NAME\`. References are replaced before anything is checked.
- Sizes of buffers are in MiB, times in seconds. Paths are relative to the working directory.
- A default in the tables is what a key has when it is left out; a key without one may be left out, and then nothing is set.`

const NOTES: Readonly<Record<string, string>> = {
  source: `Beside these stand the keys of the connector that \`name\` names; a connector may give \`authentication\` and
\`api_config\` a shape of its own.`,
  destination: 'The keys of the connector that `name` names stand under `config`, beside those below.',
}
