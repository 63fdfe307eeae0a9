import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Problems } from '../../lib/config/problems.ts'
import { redactor } from '../../lib/redact.ts'
import { type Environment, readEnvironment, resolveReferences } from '../../lib/references.ts'
import { inFolder } from '../support/yaml-config.ts'

const environment = { HOST: 'db.example', USER: 'me', EMPTY: '', TRICKY: '$&${env://USER}', BIZON_ENV_KEY: 'legacy' }

/** One string of a config: what it becomes, and why not. */
async function replace(text: string, known: Environment = environment): Promise<{ value: unknown; problem?: string }> {
  const problems = new Problems('<config>', () => undefined)
  const { value, occurrences } = await resolveReferences({ text }, problems, async () => known)
  const problem = occurrences.find((one) => one.problem !== undefined)?.problem
  return { value: (value as { text: unknown }).text, ...(problem !== undefined && { problem }) }
}

describe('what stands in a string', () => {
  test.each([
    ['env://HOST', 'db.example'],
    ['  env://HOST \n', 'db.example'],
    ['env:// HOST', 'db.example'],
    ['env://EMPTY', ''],
    ['env://TRICKY', '$&${env://USER}'], // a value is not examined again
    ['${env://HOST}', 'db.example'],
    ['${ env://HOST }', 'db.example'],
    ['http://${env://USER}@${env://HOST}/x', 'http://me@db.example/x'],
    ['<${env://TRICKY}>', '<$&${env://USER}>'],
    ['$${env://HOST}', '${env://HOST}'],
    ['costs $${x} or ${env://USER}', 'costs ${x} or me'],
    ['BIZON_ENV_KEY', 'legacy'],
    ['https://example.com/a', 'https://example.com/a'],
    ['s3://bucket', 's3://bucket'],
    ['a ${ is left', 'a ${ is left'],
    ['$HOME and {x}', '$HOME and {x}'],
    ['see env://HOST', 'see env://HOST'],
    ['my BIZON_ENV_KEY', 'my BIZON_ENV_KEY'],
  ])('%j becomes %j', async (text, value) => {
    expect(await replace(text)).toEqual({ value })
  })

  test.each([
    ['env://NOPE', 'the environment variable NOPE is not set'],
    ['${env://NOPE}/x', 'the environment variable NOPE is not set'],
    ['BIZON_ENV_NOPE', 'the environment variable BIZON_ENV_NOPE is not set'],
    ['env://', 'env:// needs the name of a variable'],
    ['${env://}', 'env:// needs the name of a variable'],
    ['${HOST}', '"${HOST}" is not a reference; write ${env://NAME}, or $${ for the two characters'],
    ['${}', '"${}" is not a reference; write ${env://NAME}, or $${ for the two characters'],
    ['${ENV://HOST}', '"${ENV://HOST}" is not a reference; write ${env://NAME}, or $${ for the two characters'],
    ['${evn://HOST}', '"${evn://HOST}" has an unknown scheme; known: env://, gsm://, file://'],
    ['Env://HOST', 'Env:// is not a reference; write env://'],
    ['a ${env://HOST', 'a ${ is never closed; add the missing }'],
  ])('%j is refused', async (text, problem) => {
    expect(await replace(text)).toEqual({ value: text, problem })
  })

  test('text around references is kept, whatever the values hold', async () => {
    const words = fc.string().filter((text) => !text.includes('$') && !text.includes('}'))
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(words, fc.string()), { minLength: 1, maxLength: 5 }), async (parts) => {
        const variables = Object.fromEntries(parts.map(([, value], i) => [`V${i}`, value]))
        const text = parts.map(([before], i) => `${before}\${env://V${i}}`).join('')
        const { value } = await replace(text, variables)
        expect(value).toBe(parts.map(([before, inside]) => before + inside).join(''))
      }),
    )
  })

  test('with every ${ escaped any text is taken as it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom('$', '{', '}', 'a', 'env://', ' ')), async (pieces) => {
        const literal = `x${pieces.join('')}`
        fc.pre(!literal.includes('$${'))
        expect((await replace(literal.replaceAll('${', '$${'), {})).value).toBe(literal)
      }),
    )
  })
})

describe('a whole config', () => {
  const resolve = async (value: unknown) => {
    const problems = new Problems('<config>', () => undefined)
    return { problems, ...(await resolveReferences(value, problems, async () => environment)) }
  }

  test('is copied, with references replaced in mappings and lists, and where they were', async () => {
    const given = { a: ['env://HOST', 1, null], b: { c: 'BIZON_ENV_KEY' }, l: ['BIZON_ENV_KEY'], 'env://HOST': true }
    const { value, references, secrets, problems } = await resolve(given)
    expect(value).toEqual({ a: ['db.example', 1, null], b: { c: 'legacy' }, l: ['legacy'], 'env://HOST': true })
    expect([...references]).toEqual([
      ['a[0]', 'env://HOST'],
      ['b.c', 'BIZON_ENV_KEY'],
      ['l[0]', 'BIZON_ENV_KEY'],
    ])
    expect(secrets).toEqual(['db.example', 'legacy'])
    expect(given.a[0]).toBe('env://HOST')
    problems.throwIfAny()
  })

  test('values too short to be recognised are not among the secrets', async () => {
    expect((await resolve({ a: 'env://USER', b: 'env://EMPTY' })).secrets).toEqual([])
  })

  test('a secret may stand in the file itself, at a key that says so', async () => {
    const config = {
      params: { client_secret: 'in-the-file', token: 'short', page: 'not-hidden', password: 'with $${braces}' },
      headers: { 'x-api-key': 'key-of-api', Authorization: 'Basic abc', other: 'env://HOST' },
      refresh_token: 'env://USER_TOKEN',
    }
    const resolved = await resolveReferences(config, new Problems('<config>', () => undefined), async () => ({
      ...environment,
      USER_TOKEN: 'mine',
    }))
    expect([...resolved.secrets].sort()).toEqual(
      ['in-the-file', 'with ${braces}', 'key-of-api', 'Basic abc', 'db.example', 'mine'].sort(),
    )
    expect(resolved.referenced).toEqual(
      new Map([
        ['env://HOST', 'db.example'],
        ['env://USER_TOKEN', 'mine'],
      ]),
    )
  })

  test('the code of a transform is left alone', async () => {
    const transforms = [{ label: 'env://HOST', python: 'x = "${HOST}"' }]
    const { value, problems } = await resolve({ transforms })
    expect(value).toEqual({ transforms: [{ label: 'db.example', python: 'x = "${HOST}"' }] })
    problems.throwIfAny()
  })

  test('all problems are told at once, with their paths', async () => {
    const { problems } = await resolve({ a: { b: ['env://ONE'] }, c: '${two}' })
    expect(() => problems.throwIfAny()).toThrow(
      '<config> a.b[0]: the environment variable ONE is not set\n' +
        '<config> c: "${two}" is not a reference; write ${env://NAME}, or $${ for the two characters',
    )
  })

  test('an object that contains itself is refused', async () => {
    const round: Record<string, unknown> = { name: 'x' }
    round.source = { inner: round }
    const { problems } = await resolve(round)
    expect(() => problems.throwIfAny()).toThrow('<config> source: is nested too deeply, or contains itself')
  })

  test('the environment is not asked for without a reference', async () => {
    const problems = new Problems('<config>', () => undefined)
    const asked = await resolveReferences({ a: 'plain', b: 2 }, problems, async () => {
      throw new Error('asked')
    })
    expect(asked.value).toEqual({ a: 'plain', b: 2 })
  })
})

describe('the environment', () => {
  test('is the file’s variables under those already set', () =>
    inFolder(async (folder) => {
      const path = join(folder, 'my.env')
      await writeFile(path, '# comment\nexport ONE_OF_OURS=1\nQUOTED="a b" # why\nPATH=lost\n\nSINGLE=\'x#y\'\n')
      const read = await readEnvironment(path)
      expect(read).toMatchObject({ ONE_OF_OURS: '1', QUOTED: 'a b', SINGLE: 'x#y', PATH: process.env.PATH })
      expect(process.env.ONE_OF_OURS).toBeUndefined()
    }))

  test('comes from .env of the working directory, if there is one', () =>
    inFolder(async (folder) => {
      const before = process.cwd()
      process.chdir(folder)
      try {
        expect((await readEnvironment(undefined)).ONE_OF_OURS).toBeUndefined()
        await writeFile('.env', 'ONE_OF_OURS=here')
        expect((await readEnvironment(undefined)).ONE_OF_OURS).toBe('here')
      } finally {
        process.chdir(before)
      }
    }))

  test('a file that was asked for must be there', () =>
    inFolder(async (folder) => {
      const missing = join(folder, 'no.env')
      await expect(readEnvironment(missing)).rejects.toMatchObject({
        code: 'config',
        message: `cannot read the environment file ${JSON.stringify(missing)}: no such file`,
      })
      await mkdir(missing)
      await expect(readEnvironment(missing)).rejects.toMatchObject({ code: 'config' })
    }))
})

describe('redactor', () => {
  test('replaces every secret, the longer one first, taken literally', () => {
    const redact = redactor(['pass', 'pass.word', 'a+b('])
    expect(redact('pass.word pass passXword a+b( aab(')).toBe('*** *** ***Xword *** aab(')
  })
  test.each([
    ['as it is', 'a "b"/ü+'],
    ['in JSON', JSON.stringify('a "b"/ü+').slice(1, -1)],
    ['in JSON within JSON', JSON.stringify(JSON.stringify('a "b"/ü+')).slice(3, -3)],
    ['in the path of a URL', encodeURIComponent('a "b"/ü+')],
    ['in the query of a URL', new URLSearchParams({ q: 'a "b"/ü+' }).toString().slice(2)],
  ])('knows a secret %s', (_where, written) => {
    expect(redactor(['a "b"/ü+'])(`<${written}>`)).toBe('<***>')
  })
  test('knows a secret of whose form the blanks or the plus signs were not decoded', () => {
    expect(redactor(['a b+c'])('<a+b+c> <a b c>')).toBe('<***> <***>')
  })
  test('half a surrogate pair, which no URL can hold, is no error', () => {
    expect(redactor(['ab\ud800cd'])('<ab\ud800cd>')).toBe('<***>')
  })
  test('without secrets nothing changes', () => {
    expect(redactor([])('text')).toBe('text')
  })
})
