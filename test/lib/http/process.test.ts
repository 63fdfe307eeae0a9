// The client in a process of its own: that it ends, and how much memory it took.

import { afterEach, beforeEach, expect, it } from 'vitest'
import { FaultServer } from '../../support/fault-server.ts'
import { startScript } from '../../support/script.ts'

let api: FaultServer
beforeEach(async () => {
  api = await FaultServer.start()
})
afterEach(() => api.close())

async function get(path: string, mebibytes: number): Promise<{ answer: string; lived: number; peak: number }> {
  const script = await startScript(new URL('../../support/scripts/http-get.ts', import.meta.url), [
    `${api.url}${path}`,
    String(mebibytes),
  ])
  const line = await script.line()
  expect(await script.ended).toMatchObject({ code: 0, stderr: '' })
  return JSON.parse(line ?? '')
}

it('a process ends by itself once its clients are closed, although the server keeps the connection', async () => {
  api.on('/items', { json: { ok: true } })
  const { answer, lived } = await get('/items', 64)
  expect(answer).toBe('11 bytes')
  // The server keeps idle connections for 30 seconds.
  expect(lived).toBeLessThan(3)
})

it.each([true, false])(
  'an answer of 1 GB costs no more memory than the bound (length known: %s)',
  async (lengthKnown) => {
    api.on('/small', { json: {} }).on('/huge', { bytes: 2 ** 30, lengthKnown })
    const small = await get('/small', 32)
    const huge = await get('/huge', 32)
    expect(huge.answer).toContain('the answer is larger than 32 MiB')
    expect(huge.peak - small.peak).toBeLessThan(96)
    expect(api.bytesSent).toBeLessThan(2 ** 28)
  },
)
