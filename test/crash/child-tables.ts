// Crash tests of `unnest: tables`: sqlite3 and psql join the tables back together, and jq says from the source's lines what
// that must give, row by row, and how many rows each table has.

import { dropDatabase, freshDatabase, psqlEach, type TestDatabase } from '../support/services/postgres.ts'
import { differenceOf, jq } from './oracle.ts'
import { pipelineFile } from './scenario.ts'
import { sqlite3Says } from './sqlite3.ts'
import { type Ended, type Execution, Workspace } from './workspace.ts'

export type Database = 'sqlite' | 'postgres'

interface Scenario {
  readonly database: Database
  /** `merged`: incremental, by key, where some records come again. */
  readonly mode: 'full_refresh' | 'incremental' | 'merged'
  /** The source of a run before it, which is published. */
  readonly earlier: string
  readonly source: string
}

/** Line `n`; `more`: further members. Now and then one that is larger than a page. */
function line(n: number, more = '', edition = 0): string {
  const tags = (of: number) =>
    `"tags":[${Array.from({ length: (n + of + edition) % 3 }, (_, at) => `"t${n}-${of}-${at}"`)}]`
  const items = Array.from(
    { length: (n + edition) % 4 },
    (_, at) => `{"sku":"é${n}-${at}-${edition}","price":${n}.10,${tags(at)}}`,
  )
  const pad = n % 20 === 7 ? 'long '.repeat(900) : '.'.repeat((n * 37) % 180)
  return `{"id":"${n}","to":{"city":"c${n}","zip":null},"items":[${items}],"codes":[[${n}],[]],"pad":"${pad}"${more}}\n`
}

const lines = (from: number, to: number, more?: string, edition?: number): string =>
  Array.from({ length: to - from }, (_, at) => line(from + at, more, edition)).join('')

/** Only the earlier run has rows for `orders__gone`. */
const OLD = lines(200, 230, ',"gone":[1,2]')
const ALL = lines(0, 60)
const EARLIER = lines(0, 30)
/** Half of the earlier ones come again, two of them twice; with the second edition of number 3 its list is empty. */
const AGAIN = `${EARLIER}${lines(0, 15, '', 1)}${lines(30, 45)}${lines(0, 2, '', 2)}`

const SOURCES = {
  full_refresh: { earlier: OLD, source: ALL },
  incremental: { earlier: EARLIER, source: ALL },
  merged: { earlier: EARLIER, source: AGAIN },
}

export const scenarioOf = (database: Database, mode: Scenario['mode']): Scenario => ({
  database,
  mode,
  ...SOURCES[mode],
})

/** To the tables of `orders`, with a checkpoint after every page. */
function pipelineOf({ database, mode }: Scenario): string {
  const target = database === 'sqlite' ? 'path: data.sqlite3' : 'url: env://PG_URL'
  const key = mode === 'merged' ? '\n    primary_key: [id]' : ''
  return pipelineFile({ mode: mode === 'merged' ? 'incremental' : mode })
    .replace('stream: records', 'stream: orders')
    .replace('page_bytes: 4096', 'page_bytes: 1500')
    .replace(
      /^destination:\n(.*\n)*?(?=engine:)/m,
      `destination:\n  name: ${database}\n  config:\n    ${target}\n    unnest: tables${key}\n    buffer_size: 0\n`,
    )
}

const TABLES = ['orders', 'orders__items', 'orders__items__tags', 'orders__codes', 'orders__codes__list']
const ITEMS = 'orders o JOIN orders__items i ON i._bizon_parent_id = o.bizon_id AND i._bizon_root_id = o.bizon_id'

/** Each line of an answer begins with a letter of its own, so that all can be one text. */
const QUERIES = [
  "SELECT 'o', id, to__city FROM orders ORDER BY id",
  `SELECT 'i', o.id, i._bizon_index, i.sku, i.price FROM ${ITEMS} ORDER BY o.id, i._bizon_index`,
  `SELECT 't', o.id, i._bizon_index, t._bizon_index, t.value FROM ${ITEMS}
     JOIN orders__items__tags t ON t._bizon_parent_id = i.bizon_id AND t._bizon_root_id = o.bizon_id
     ORDER BY o.id, i._bizon_index, t._bizon_index`,
  `SELECT 'c', o.id, c._bizon_index, v.value FROM orders o JOIN orders__codes c ON c._bizon_parent_id = o.bizon_id
     LEFT JOIN orders__codes__list v ON v._bizon_parent_id = c.bizon_id AND v._bizon_root_id = o.bizon_id
     ORDER BY o.id, c._bizon_index, v._bizon_index`,
  ...TABLES.map((table) => `SELECT '${table}', count(*) FROM ${table}`),
  "SELECT 'ids', count(DISTINCT bizon_id) FROM (SELECT bizon_id FROM orders UNION ALL SELECT bizon_id FROM orders__items UNION ALL SELECT bizon_id FROM orders__items__tags UNION ALL SELECT bizon_id FROM orders__codes UNION ALL SELECT bizon_id FROM orders__codes__list) AS a",
]
const GONE = "SELECT 'gone', count(*) FROM orders__gone"

/** The same, of the source's lines: of those with one id the last. */
const EXPECTED = `def row: map(if . == null then "" else tostring end) | join("|");
  (group_by(.id) | map(last)) as $all
  | ($all[] | ["o", .id, .to.city] | row),
    ($all[] | .id as $id | .items | to_entries[] | ["i", $id, .key, .value.sku, "\\($id).10"] | row),
    ($all[] | .id as $id | .items | to_entries[] | .key as $i | .value.tags | to_entries[] | ["t", $id, $i, .key, .value] | row),
    ($all[] | .id as $id | .codes | to_entries[] | .key as $i | (.value | if length == 0 then [null] else . end)[] | ["c", $id, $i, .] | row),
    ([$all | length, ([$all[].items[]] | length), ([$all[].items[].tags[]] | length), ([$all[].codes[]] | length), ([$all[].codes[][]] | length)]
      | (to_entries[] | "\\($tables[.key])|\\(.value)"), "ids|\\(add)"),
    "gone|\\([$all[] | .gone // [] | .[]] | length)"`

export class Trial {
  readonly #scenario: Scenario
  readonly #place: Workspace
  readonly #database: TestDatabase | undefined
  readonly #right: { readonly before: string; readonly after: string }

  private constructor(scenario: Scenario, place: Workspace, database: TestDatabase | undefined, right: Trial['right']) {
    this.#scenario = scenario
    this.#place = place
    this.#database = database
    this.#right = right
  }

  get right(): { readonly before: string; readonly after: string } {
    return this.#right
  }

  get place(): Workspace {
    return this.#place
  }

  static async prepare(scenario: Scenario): Promise<Trial> {
    const place = await Workspace.create({ 'pipeline.yml': pipelineOf(scenario), 'source.ndjson': scenario.earlier })
    const database = scenario.database === 'postgres' ? await freshDatabase() : undefined
    const expected = () => jq(place, ['-rs', '--argjson', 'tables', JSON.stringify(TABLES), EXPECTED, 'source.ndjson'])
    const before = await expected()
    const first = new Trial(scenario, place, database, { before, after: '' })
    const { code, stderr } = await first.run()
    if (code !== 0) throw new Error(`the run before failed: ${stderr}`)
    await place.write({ 'source.ndjson': scenario.source })
    return new Trial(scenario, place, database, { before, after: await expected() })
  }

  async copy(): Promise<Trial> {
    const database = this.#database && (await freshDatabase(this.#database.name))
    return new Trial(this.#scenario, await this.#place.copy(), database, this.#right)
  }

  run(execution: Execution = {}): Promise<Ended> {
    const { env } = execution
    return this.#place.bizon({ ...execution, env: { ...env, ...(this.#database && { PG_URL: this.#database.url }) } })
  }

  /** What readers see, as text. */
  async look(): Promise<string> {
    const rows = await this.#ask(QUERIES)
    return `${rows}${this.#scenario.mode === 'full_refresh' ? await this.#ask([GONE]) : 'gone|0\n'}`
  }

  /** Tables that nobody reads. */
  async left(): Promise<string[]> {
    const names = await this.#ask([
      this.#database
        ? "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        : "SELECT name FROM sqlite_schema WHERE type = 'table'",
    ])
    return names.split('\n').filter((name) => name.includes('staging'))
  }

  async #ask(queries: readonly string[]): Promise<string> {
    if (this.#database) return (await psqlEach(this.#database.url, queries)).join('')
    return (await sqlite3Says(this.#place, 'data.sqlite3', `${queries.join(';\n')};\n`)) ?? ''
  }

  async remove(): Promise<void> {
    await this.#place.remove()
    if (this.#database) await dropDatabase(this.#database)
  }
}

/** Kills at each point in turn, then resumes to the end: complaints about what readers see between and after. */
export async function crash(prepared: Trial, failpoints: readonly string[], program?: string): Promise<string[]> {
  const trial = await prepared.copy()
  const by = program === undefined ? {} : { program }
  const complaints: string[] = []
  try {
    for (const failpoint of failpoints) {
      const { code, signal, stderr } = await trial.run({ ...by, failpoint: `${failpoint}:kill` })
      if (signal !== 'SIGKILL') return [`${failpoint} did not fire: exit ${code} ${stderr}`]
      const seen = await trial.look()
      const { before, after } = trial.right
      if (seen !== before && seen !== after)
        complaints.push(`readers see neither the old nor the new: ${differenceOf(seen, after)}`)
    }
    const { code, stderr } = await trial.run(by)
    if (code !== 0) complaints.push(`the next run ended with ${code}: ${stderr}`)
    const seen = await trial.look()
    if (seen !== trial.right.after) complaints.push(`tables: ${differenceOf(seen, trial.right.after)}`)
    const left = await trial.left()
    if (left.length > 0) complaints.push(`left behind: ${left}`)
    return complaints.map((complaint) => `${failpoints.join(', then ')}: ${complaint}`)
  } finally {
    await trial.remove()
  }
}
