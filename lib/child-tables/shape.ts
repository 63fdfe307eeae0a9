// What was met in the rows of a table: their fields, and what each becomes. Rows of one table mostly have the same fields
// in the same order, so that a field is looked for where the row before had it, by its bytes.

import { BizonError } from '../errors.ts'
import { isSpelled, stringAt } from '../json.ts'
import { CUT_BYTES, fitting, type Links, type NameRules, under } from './names.ts'

/** How many names of fields are remembered of records of one table, with their lists: more are no names. */
export const MOST_NAMES = 10_000

/** Column of a list item that is no object. */
export const VALUE = 'value'
/** Stands for the name of a list that has none, being itself in a list. */
const UNNAMED = 'list'

export interface Field {
  readonly name: string
  /** As it stands in the text, quotes included. */
  readonly spelling: Buffer
  /** Its place among those met. */
  readonly place: number
  /** The last object that had it. */
  seenIn: number
  /** `"name":` of its column; undefined: no row has it yet. */
  column: Buffer | undefined
  /** Of its values that are objects. */
  object: Shape | undefined
  /** Of its values that are lists. */
  list: Table | undefined
}

/** What has a name: a field, a list in lists, records of their own. Two of them are two, whatever they are called. */
type Owner = object

/** All tables of a load. Two things that would be one table, or one column, are refused. */
export class Tables {
  readonly links: Links
  readonly #rules: NameRules
  /** By folded name. */
  readonly #roots = new Map<string, Table>()
  readonly #owners = new Owners('table')
  /** How many fields there are, by the name of the root. */
  readonly #fields = new Map<string, number>()

  constructor(rules: NameRules, links: Links) {
    this.#rules = rules
    this.links = links
  }

  /** The table of records. */
  root(name: string): Table {
    const key = this.fold(name)
    let table = this.#roots.get(key)
    if (!table) {
      this.#owners.own(key, name, this, 'records of their own')
      table = new Table(this, { name, path: name, names: [name], level: 0 })
      // By that column rows of lists are told from records.
      table.own(this.links.root, this, 'the link of that name')
      this.#roots.set(key, table)
    }
    return table
  }

  /** `path`: the names on the way as they make one; `names`: each. */
  child({ path, names, level }: Pick<Table, 'path' | 'names' | 'level'>, owner: Owner): Table {
    const name = this.fit(path)
    this.#checkRoot(names[0] as string)
    this.#owners.own(this.fold(name), name, owner, `the list ${shown(names)}`)
    const table = new Table(this, { name, path, names, level })
    for (const link of Object.values(this.links)) table.own(link, this, 'the link of that name')
    return table
  }

  /** A field more, somewhere in the records of that table. */
  count(root: string): void {
    const count = (this.#fields.get(root) ?? 0) + 1
    this.#fields.set(root, count)
    if (count <= MOST_NAMES) return
    throw new BizonError(
      'invalid_record',
      `unnest: tables: records for ${root} have more than ${MOST_NAMES} names of fields by now: they look like values`,
      { hint: 'Make a list of names and values of them in a transform, or load the records whole with unnest: false.' },
    )
  }

  /** Rejects a name that leaves no room: the names of child tables begin with it. */
  #checkRoot(root: string): void {
    const most = (this.#rules.longestName ?? Number.POSITIVE_INFINITY) - CUT_BYTES - 2
    if (Buffer.byteLength(root) <= most) return
    throw new BizonError('config', `unnest: tables: table ${root} has lists, and its name more than ${most} bytes`, {
      hint: 'Choose a shorter destination_id.',
    })
  }

  fit(name: string): string {
    return fitting(name, this.#rules.longestName)
  }

  fold(name: string): string {
    return this.#rules.foldName?.(name) ?? name
  }
}

export class Table {
  readonly name: string
  readonly path: string
  readonly names: readonly string[]
  /** How many values are around its rows. */
  readonly level: number
  readonly tables: Tables
  readonly row: Shape
  #lists: Table | undefined
  readonly #owners: Owners

  constructor(tables: Tables, { name, path, names, level }: Pick<Table, 'name' | 'path' | 'names' | 'level'>) {
    this.tables = tables
    this.name = name
    this.path = path
    this.names = names
    this.level = level
    this.row = new Shape(this, [], level)
    this.#owners = new Owners('column', name)
  }

  /** Of lists that stand in its lists. */
  get lists(): Table {
    this.#lists ??= this.child([UNNAMED], this.level + 1, this)
    return this.#lists
  }

  child(names: readonly string[], level: number, owner: Owner): Table {
    const path = [this.path, ...names].reduce(under)
    return this.tables.child({ path, names: [...this.names, ...names], level }, owner)
  }

  own(column: string, owner: Owner, what: string): void {
    this.#owners.own(this.tables.fold(column), column, owner, what)
  }
}

/** The fields of a table's rows, or of the objects at one place in them. */
export class Shape {
  readonly table: Table
  /** How many values are around its fields. */
  readonly level: number
  /** The names on the way; none: it is the row. */
  readonly names: readonly string[]
  readonly #order: Field[] = []
  readonly #byName = new Map<string, Field>()

  constructor(table: Table, names: readonly string[], level: number) {
    this.table = table
    this.names = names
    this.level = level
  }

  /** Whether its fields are columns under their own names. */
  get isRow(): boolean {
    return this.names.length === 0
  }

  /** `place`: where it is likely. */
  field(buffer: Buffer, start: number, end: number, place: number): Field {
    const expected = this.#order[place]
    return expected && isSpelled(buffer, start, end, expected.spelling) ? expected : this.#find(buffer, start, end)
  }

  columnOf(field: Field): Buffer {
    if (!field.column) {
      const { table, names } = this
      const all = [...names, field.name]
      const name = this.isRow ? field.name : table.tables.fit(all.reduce(under))
      table.own(name, field, `field ${shown(all)}`)
      field.column = Buffer.from(`${JSON.stringify(name)}:`)
    }
    return field.column
  }

  objectOf(field: Field): Shape {
    field.object ??= new Shape(this.table, [...this.names, field.name], this.level + 1)
    return field.object
  }

  listOf(field: Field): Table {
    field.list ??= this.table.child([...this.names, field.name], this.level + 1, field)
    return field.list
  }

  #find(buffer: Buffer, start: number, end: number): Field {
    const name = stringAt(buffer, start, end)
    let field = this.#byName.get(name)
    if (!field) {
      this.table.tables.count(this.table.names[0] as string)
      const spelling = Buffer.from(buffer.subarray(start, end))
      const place = this.#order.length
      field = { name, spelling, place, seenIn: 0, column: undefined, object: undefined, list: undefined }
      this.#byName.set(name, field)
      this.#order.push(field)
    }
    return field
  }
}

/** Whose each name is. */
class Owners {
  readonly #kind: 'table' | 'column'
  readonly #table: string | undefined
  readonly #byName = new Map<string, { readonly owner: Owner; readonly what: string }>()

  constructor(kind: 'table' | 'column', table?: string) {
    this.#kind = kind
    this.#table = table
  }

  /** Rejects a name that another has. `key`: equal for names that are one. */
  own(key: string, name: string, owner: Owner, what: string): void {
    const found = this.#byName.get(key)
    if (!found) this.#byName.set(key, { owner, what })
    if (!found || found.owner === owner) return
    const of = this.#table === undefined ? '' : ` of table ${this.#table}`
    throw new BizonError(
      'invalid_record',
      `unnest: tables: ${this.#kind} ${name}${of} would be for ${found.what} and for ${what}`,
      { hint: 'Rename one of them in a transform, or choose another destination_id.' },
    )
  }
}

const shown = (names: readonly string[]): string => names.map((name) => JSON.stringify(name)).join('.')
