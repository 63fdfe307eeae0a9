import fc from 'fast-check'
import { isLosslessNumber } from 'lossless-json'
import { describe, expect, it } from 'vitest'
import {
  escapeInto,
  field,
  fieldsReader,
  isObject,
  MAX_DEPTH,
  members,
  parseJson,
  scanValue,
  skipWhitespace,
  stringifyJson,
  stringOf,
} from '../../lib/json.ts'
import { type Json, RawJson } from '../../lib/record.ts'

/** JSON as people and programs write it: any whitespace, escapes, number forms, duplicate keys. */
const space = fc.constantFrom('', '', '', ' ', '\n', '\t', '\r\n', '  ')
const string = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text).slice(1, -1)) },
      { weight: 2, arbitrary: fc.constantFrom('\\n', '\\/', '\\"', '\\\\', '\\u00e9', '\\uD83D\\ude00', '\\u0000') },
      { weight: 1, arbitrary: fc.constantFrom('é', '😀', '\u007f', '\u2028') },
    ),
    { maxLength: 4 },
  )
  .map((parts) => `"${parts.join('')}"`)
const number = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.constantFrom('0', '-0', '1.10', '9007199254740993', '1e400', '-0.0', '1E+2', '12e-9', '0.000000001', '1.0'),
)
const { text: jsonText } = fc.letrec<{ text: string }>((tie) => {
  const text = tie('text')
  const key = fc.oneof(fc.constantFrom('"a"', '"\\u0061"', '"id"', '""', '"__proto__"'), string)
  return {
    text: fc
      .tuple(
        space,
        fc.oneof(
          { depthSize: 'small', withCrossShrink: true },
          fc.constantFrom('true', 'false', 'null'),
          number,
          string,
          fc.array(text, { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
          fc
            .array(fc.tuple(space, key, space, text), { maxLength: 4 })
            .map((all) => `{${all.map(([a, name, b, value]) => `${a}${name}${b}:${value}`).join(',')}}`),
          space.map((inside) => `{${inside}}`),
        ),
        space,
      )
      .map((parts) => parts.join('')),
  }
})

function isValid(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Whether the whole of the bytes is one value, as scanValue sees it. */
function accepts(bytes: Buffer): boolean {
  const end = scanValue(bytes, 0, bytes.length)
  return end >= 0 && skipWhitespace(bytes, end, bytes.length) === bytes.length
}

/** The same bytes with something in front and behind that must not matter. */
function embed(bytes: Buffer, after: string): { buffer: Buffer; start: number; end: number } {
  return { buffer: Buffer.concat([Buffer.from('"[{'), bytes, Buffer.from(after)]), start: 3, end: 3 + bytes.length }
}

describe('scanValue', () => {
  it('accepts every valid text and ends where the value ends', () => {
    fc.assert(
      fc.property(jsonText, (text) => {
        const bytes = Buffer.from(text)
        expect(scanValue(bytes, 0, bytes.length)).toBe(Buffer.byteLength(text.replace(/[ \n\r\t]+$/, '')))
      }),
      { numRuns: 500 },
    )
  })

  it('agrees with JSON.parse on every truncation', () => {
    fc.assert(
      fc.property(jsonText, (text) => {
        const bytes = Buffer.from(text, 'latin1')
        for (let length = 0; length < bytes.length; length++) {
          const part = bytes.subarray(0, length)
          expect(accepts(part)).toBe(isValid(part.toString('latin1')))
        }
      }),
    )
  })

  it('agrees with JSON.parse when a byte is changed, removed or put in', () => {
    const change = fc.record({
      at: fc.nat(),
      remove: fc.nat({ max: 2 }),
      insert: fc.oneof(
        fc.constantFrom(...'{}[]",:\\u0-+.eE1tn \n\u0000\u001f'),
        fc.nat({ max: 255 }).map(String.fromCharCode),
      ),
    })
    fc.assert(
      fc.property(jsonText, fc.array(change, { minLength: 1, maxLength: 3 }), (text, changes) => {
        let changed = Buffer.from(text).toString('latin1')
        for (const { at, remove, insert } of changes) {
          const index = at % (changed.length + 1)
          changed = changed.slice(0, index) + insert + changed.slice(index + remove)
        }
        expect(accepts(Buffer.from(changed, 'latin1'))).toBe(isValid(changed))
      }),
      { numRuns: 2000 },
    )
  })

  it('is not influenced by what stands before the start or after the end', () => {
    fc.assert(
      fc.property(
        jsonText,
        fc.nat(),
        fc.constantFrom('1', '"', '}', ']]]', 'e5', 'rue', 'abcd"', '\u0000', ' 1'),
        (text, cut, after) => {
          const bytes = Buffer.from(text)
          const part = bytes.subarray(0, cut % (bytes.length + 1))
          const alone = scanValue(part, 0, part.length)
          const { buffer, start, end } = embed(part, after)
          const within = scanValue(buffer, start, end)
          expect(within).toBe(alone < 0 ? ~(~alone + start) : alone + start)
        },
      ),
      { numRuns: 1000 },
    )
  })

  it.each([
    ['{"a":x}', 5],
    ['{"a" 1}', 5],
    ['{a:1}', 1],
    ['{"a":1,}', 7],
    ['[1,]', 3],
    ['[1 2]', 3],
    ['"a\nb"', 2],
    ['"\\x"', 2],
    ['"\\u12G4"', 5],
    ['01', 1],
    ['-a', 1],
    ['1.x', 2],
    ['1e+x', 3],
    ['trux', 3],
    ['{"a":1', 6],
    ['"abc', 4],
    ['', 0],
    ['{"a":[1}', 7],
  ])('points at the offending byte of %j', (text, index) => {
    const bytes = Buffer.from(text)
    const end = scanValue(bytes, 0, bytes.length)
    // A value may be complete before the offending byte.
    expect(end < 0 ? ~end : skipWhitespace(bytes, end, bytes.length)).toBe(index)
  })

  it('takes nesting up to its limit and refuses more', () => {
    const nested = (depth: number) => Buffer.from('['.repeat(depth) + ']'.repeat(depth))
    expect(scanValue(nested(MAX_DEPTH), 0, 2 * MAX_DEPTH)).toBe(2 * MAX_DEPTH)
    expect(scanValue(nested(MAX_DEPTH + 1), 0, 2 * MAX_DEPTH + 2)).toBe(~MAX_DEPTH)
  })
})

describe('scanValue in a string', () => {
  const LENGTH = 11
  // Bytes beside the one that stops it must not hide it nor be taken for it: `n` also ends an escape.
  it.each(['n', '\x7f', '!', '#', '[', ']', ' ', '\x80', '\xff'])(
    'finds what ends it among %j, wherever it is',
    (filler) => {
      const around = 3
      for (let at = 0; at < LENGTH; at++) {
        for (let byte = 0; byte < 256; byte++) {
          const buffer = Buffer.from(
            `${'"'.repeat(around)}"${filler.repeat(LENGTH)}"${filler.repeat(around)}`,
            'latin1',
          )
          buffer[around + 1 + at] = byte
          const text = buffer.subarray(around, around + LENGTH + 2)
          const expected = (): number => {
            if (byte === 0x22) return at + 2
            if (byte < 0x20) return ~(at + 1)
            if (byte !== 0x5c || filler === 'n') return byte === 0x5c && at === LENGTH - 1 ? ~text.length : text.length
            return at === LENGTH - 1 ? ~text.length : ~(at + 2)
          }
          expect(scanValue(text, 0, text.length)).toBe(expected())
          for (let end = 1; end <= at + 1; end++) expect(scanValue(text, 0, end)).toBe(~end)
        }
      }
    },
  )
})

describe('members and field', () => {
  it('finds what JSON.parse finds, the last of duplicates, keys with escapes decoded', () => {
    fc.assert(
      fc.property(jsonText, (text) => {
        const bytes = Buffer.from(text)
        const { buffer, start, end } = embed(bytes, '"a":5}')
        const parsed: unknown = JSON.parse(text)
        const raw = new RawJson(buffer, start, end)
        const object = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
        expect(isObject(raw)).toBe(object)
        const names = object ? Object.keys(parsed) : []
        for (const name of [...names, 'a', 'id', 'missing', '__proto__']) {
          const expected = object && Object.hasOwn(parsed, name) ? (parsed as Record<string, unknown>)[name] : undefined
          const found = field(raw, name)
          expect(found && JSON.parse(found.toString())).toEqual(expected)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('visits members in order with the exact bytes of keys and values', () => {
    const bytes = Buffer.from(' { "a" : 1.10 , "b\\"":[ 1 ] ,"a":{} } ')
    const seen: string[] = []
    members(bytes, 0, bytes.length, (keyStart, keyEnd, valueStart, valueEnd) => {
      seen.push(`${bytes.subarray(keyStart, keyEnd)}=${bytes.subarray(valueStart, valueEnd)}`)
    })
    expect(seen).toEqual(['"a"=1.10', '"b\\""=[ 1 ]', '"a"={}'])
  })
})

describe('fieldsReader and stringOf', () => {
  it('find several members in one pass, in the order of the names, under any spelling', () => {
    const read = fieldsReader(['b', 'a', '', '\ud83d', 'none', 'c\n'])
    const text = '{"a":1,"c\\u000A":[],"\\uD83D":2,"":3,"\\u0061":{"b":0},"b":"x","bb":4,"c":5}'
    expect(read(RawJson.from(text)).map((raw) => raw?.toString())).toEqual([
      '"x"',
      '{"b":0}',
      '3',
      '2',
      undefined,
      '[]',
    ])
  })

  it('decode strings and nothing else', () => {
    fc.assert(
      fc.property(string, (text) => {
        const { buffer, start, end } = embed(Buffer.from(text), '"')
        expect(stringOf(new RawJson(buffer, start, end))).toBe(JSON.parse(text))
      }),
    )
    for (const text of ['1', 'null', '{"a":"b"}']) expect(stringOf(RawJson.from(text))).toBeUndefined()
  })
})

describe('parseJson and stringifyJson', () => {
  it('parse what JSON.parse parses and keep the text of every number', () => {
    fc.assert(
      fc.property(jsonText, (text) => {
        const printed = stringifyJson(parseJson(text))
        expect(JSON.parse(printed)).toEqual(JSON.parse(text))
        // Without duplicate keys and keys that objects reorder, all numbers are still there, as they were.
        const list = `[${numbersIn(text).join(',')}]`
        expect(stringifyJson(parseJson(list))).toBe(list)
      }),
      { numRuns: 500 },
    )
  })

  it('reject what JSON.parse rejects', () => {
    for (const text of ['', '{', '01', '[1,]', '{"a":1.}', 'NaN']) expect(() => parseJson(text)).toThrow(SyntaxError)
  })

  it('make ordinary numbers ordinary, and only the others exact', () => {
    const text = '{"n":1.5,"i":42,"price":1.10,"big":9007199254740993,"zero":-0,"s":"1.10","list":[1e400,"\\"2.0"]}'
    const value = parseJson(text) as Record<string, Json>
    expect(value.n).toBe(1.5)
    expect(value.i).toBe(42)
    expect(value.s).toBe('1.10')
    expect(isLosslessNumber(value.price)).toBe(true)
    expect(stringifyJson(value)).toBe(text)
  })

  it('keep exact numbers that moved into an object made by hand, and data that only looks like one', () => {
    const { price } = parseJson('{"price":1.10}') as { price: Json }
    expect(stringifyJson({ moved: [price], plain: { isLosslessNumber: true, value: 'x' } })).toBe(
      '{"moved":[1.10],"plain":{"isLosslessNumber":true,"value":"x"}}',
    )
  })
})

describe('escapeInto', () => {
  it('writes what JSON.stringify writes between the quotes', () => {
    fc.assert(
      fc.property(fc.oneof(jsonText, fc.string({ unit: 'binary' })), (text) => {
        const { buffer, start, end } = embed(Buffer.from(text), '"')
        const target = Buffer.alloc((end - start) * 6 + 2, 0x2e)
        const to = escapeInto(buffer, start, end, target, 2)
        expect(`"${target.toString('utf8', 2, to)}"`).toBe(JSON.stringify(text))
        expect(target.toString('latin1', 0, 2)).toBe('..')
        expect(target.subarray(to).every((byte) => byte === 0x2e)).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  it('needs at most twice the bytes of a JSON text', () => {
    fc.assert(
      fc.property(jsonText, (text) => {
        const bytes = Buffer.from(text)
        expect(escapeInto(bytes, 0, bytes.length, Buffer.alloc(bytes.length * 2), 0)).toBeLessThanOrEqual(
          bytes.length * 2,
        )
      }),
    )
  })

  it('refuses a target that is too small instead of cutting the text off', () => {
    const bytes = Buffer.from('a"\u0001')
    for (let size = 0; size < 9; size++) {
      expect(() => escapeInto(bytes, 0, bytes.length, Buffer.alloc(size), 0)).toThrow(RangeError)
    }
    expect(escapeInto(bytes, 0, bytes.length, Buffer.alloc(9), 0)).toBe(9)
  })
})

function numbersIn(text: string): string[] {
  return text.replace(/"(?:[^"\\]|\\.)*"/g, '""').match(/-?\d[\d.eE+-]*/g) ?? []
}
