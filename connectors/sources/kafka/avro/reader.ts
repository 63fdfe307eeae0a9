// Avro's binary form to JSON text, without objects between: a schema becomes functions, each of which reads a value and
// writes its text. Integers and decimals keep all digits; bytes are base64; NaN and infinities, which JSON does not
// have, are the strings "NaN", "Infinity" and "-Infinity"; a union is the value that it holds.

import { MAX_DEPTH } from '../../../../lib/json.ts'
import type { AvroNode, Logical } from '../../../avro.ts'
import type { TextBuffer } from '../text.ts'
import { Undecodable } from '../undecodable.ts'
import { AvroInput } from './input.ts'
import { dateText, decimalText, durationText, integerOf, momentText, timeText, uuidText } from './logical.ts'

/** Reads the value that begins there, which takes the rest of the bytes. Throws `Undecodable`. */
export type ReadAvro = (bytes: Buffer, start: number, out: TextBuffer) => void

type Read = (input: AvroInput, out: TextBuffer) => void

const COMMA = 0x2c
const BRACKET = 0x5b
const BRACKET_END = 0x5d
const BRACE = 0x7b
const BRACE_END = 0x7d
const COLON = 0x3a
/** Values without bytes, such as null, can be said to be there in any number. */
const MOST_EMPTY_ITEMS = 1_000_000

export function avroReader(node: AvroNode): ReadAvro {
  const read = readOf(node, new Map())
  return (bytes, start, out) => {
    const input = new AvroInput(bytes, start)
    read(input, out)
    const left = input.end - input.at
    if (left > 0) throw new Undecodable(`is not Avro of its schema: ${left} bytes are left`)
  }
}

function readOf(node: AvroNode, known: Map<AvroNode, Read>): Read {
  const found = known.get(node)
  if (found) return found
  // A type that contains itself is found here while it is being made.
  let read: Read | undefined
  known.set(node, (input, out) => (read as Read)(input, out))
  read = make(node, (inner) => readOf(inner, known))
  known.set(node, read)
  return read
}

function make(node: AvroNode, inner: (node: AvroNode) => Read): Read {
  switch (node.kind) {
    case 'null':
      return (_, out) => out.addAscii('null')
    case 'boolean':
      return (input, out) => out.addAscii(input.byte() === 0 ? 'false' : 'true')
    case 'int':
    case 'long':
      return node.logical ? moment(node.logical) : (input, out) => out.addAscii(String(input.long()))
    case 'float':
      return (input, out) => addDouble(out, input.buffer.readFloatLE(input.skip(4)))
    case 'double':
      return (input, out) => addDouble(out, input.buffer.readDoubleLE(input.skip(8)))
    case 'string':
      return (input, out) => {
        const length = input.length()
        const from = input.skip(length)
        out.addQuoted(input.buffer, from, from + length)
      }
    case 'bytes':
      return binary((input) => input.length(), node.logical)
    case 'fixed': {
      const { size, logical } = node
      return binary(() => size, logical)
    }
    case 'enum': {
      const symbols = node.symbols.map((symbol) => Buffer.from(JSON.stringify(symbol)))
      return (input, out) => out.add(chosen(symbols, input, 'a symbol'))
    }
    case 'union': {
      const branches = node.branches.map(inner)
      return (input, out) => chosen(branches, input, 'a branch')(input, out)
    }
    case 'array':
      return items(BRACKET, BRACKET_END, inner(node.items))
    case 'map': {
      const value = inner(node.items)
      return items(BRACE, BRACE_END, (input, out) => {
        const length = input.length()
        const from = input.skip(length)
        out.addQuoted(input.buffer, from, from + length)
        out.addByte(COLON)
        value(input, out)
      })
    }
    case 'record':
      return record(node.fields.map(({ name, node: field }) => ({ name, read: inner(field) })))
  }
}

function record(fields: readonly { readonly name: string; readonly read: Read }[]): Read {
  const steps = fields.map(({ name, read }, i) => ({
    before: Buffer.from(`${i === 0 ? '{' : ','}${JSON.stringify(name)}:`),
    read,
  }))
  return (input, out) => {
    if (steps.length === 0) out.addByte(BRACE)
    deeper(input)
    for (const { before, read } of steps) {
      out.add(before)
      read(input, out)
    }
    input.depth -= 1
    out.addByte(BRACE_END)
  }
}

/** Blocks of items, until one has none; a negative count is followed by the block's bytes, which need not be known. */
function items(open: number, close: number, item: Read): Read {
  return (input, out) => {
    let separator = open
    let empty = 0
    deeper(input)
    for (;;) {
      let count = input.long()
      if (typeof count === 'bigint') throw new Undecodable(`is not Avro of its schema: ${count} items`)
      if (count === 0) break
      if (count < 0) {
        count = -count
        input.size('the length of a block')
      }
      for (let i = 0; i < count; i++) {
        const from = input.at
        out.addByte(separator)
        separator = COMMA
        item(input, out)
        if (input.at === from && ++empty > MOST_EMPTY_ITEMS) {
          throw new Undecodable(`is not Avro of its schema: more than ${MOST_EMPTY_ITEMS} items without bytes`)
        }
      }
    }
    input.depth -= 1
    if (separator === open) out.addByte(open)
    out.addByte(close)
  }
}

function deeper(input: AvroInput): void {
  if (++input.depth > MAX_DEPTH) throw new Undecodable(`is nested deeper than ${MAX_DEPTH} levels`)
}

function chosen<T>(list: readonly T[], input: AvroInput, what: string): T {
  const index = input.size(what)
  const found = list[index]
  if (found === undefined) {
    throw new Undecodable(`is not Avro of its schema: ${what} ${index}, and there are ${list.length}`)
  }
  return found
}

function addDouble(out: TextBuffer, value: number): void {
  if (Number.isFinite(value)) out.addAscii(Object.is(value, -0) ? '-0' : String(value))
  else out.addAscii(`"${value}"`)
}

/** One that has no name in the calendar stays the number. */
function moment({ name }: Logical): Read {
  const text = momentTexts[name] as (value: number | bigint) => string | undefined
  return (input, out) => {
    const value = input.long()
    const found = text(value)
    out.addAscii(found === undefined ? String(value) : `"${found}"`)
  }
}

const zoned = (text: string | undefined): string | undefined => text && `${text}Z`

const momentTexts: Readonly<Record<string, (value: number | bigint) => string | undefined>> = {
  date: (value) => dateText(Number(value)),
  'time-millis': (value) => timeText(value, 3),
  'time-micros': (value) => timeText(value, 6),
  'timestamp-millis': (value) => zoned(momentText(value, 3)),
  'timestamp-micros': (value) => zoned(momentText(value, 6)),
  'timestamp-nanos': (value) => zoned(momentText(value, 9)),
  'local-timestamp-millis': (value) => momentText(value, 3),
  'local-timestamp-micros': (value) => momentText(value, 6),
  'local-timestamp-nanos': (value) => momentText(value, 9),
}

function binary(lengthOf: (input: AvroInput) => number, logical: Logical | undefined): Read {
  if (!logical) {
    return (input, out) => {
      const length = lengthOf(input)
      const from = input.skip(length)
      out.addBase64(input.buffer, from, from + length)
    }
  }
  const text = binaryText(logical)
  return (input, out) => {
    const length = lengthOf(input)
    const from = input.skip(length)
    out.addAscii(`"${text(input.buffer.subarray(from, from + length))}"`)
  }
}

function binaryText({ name, scale }: Logical): (bytes: Buffer) => string {
  if (name === 'uuid') return uuidText
  if (name === 'duration') return durationText
  if (name === 'decimal') return (bytes) => decimalText(integerOf(bytes), scale)
  return bigDecimalText
}

/** A decimal that brings its own scale. */
function bigDecimalText(bytes: Buffer): string {
  const input = new AvroInput(bytes, 0)
  const length = input.length()
  const from = input.skip(length)
  const scale = input.long()
  if (typeof scale === 'bigint' || Math.abs(scale) > MOST_EMPTY_ITEMS) {
    throw new Undecodable(`is not Avro of its schema: a decimal with the scale ${scale}`)
  }
  return decimalText(integerOf(bytes.subarray(from, from + length)), scale)
}
