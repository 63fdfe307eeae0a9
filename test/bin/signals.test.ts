import { describe, expect, test } from 'vitest'
import { startScript } from '../support/script.ts'

const WAITING = new URL('../support/scripts/signals.ts', import.meta.url)

describe('signals', () => {
  test.for([
    ['SIGINT', 130, 'Stopping at the next checkpoint; press Ctrl-C again to stop at once.'],
    ['SIGTERM', 143, 'Stopping at the next checkpoint (SIGTERM); a second signal stops at once.'],
    ['SIGHUP', 129, 'Stopping at the next checkpoint (SIGHUP); a second signal stops at once.'],
  ] as const)('the first %s asks for a stop, the second ends at once, the third kills', async ([name, code, note]) => {
    const script = await startScript(WAITING)
    expect(await script.line()).toBe('ready')
    script.signal(name)
    expect(await script.line()).toBe(note)
    expect(await script.line()).toBe(`stop, exit code ${code}`)
    script.signal(name)
    expect(await script.line()).toBe('Stopping at once.')
    expect(await script.line()).toBe(`abort, exit code ${code}`)
    script.signal(name)
    expect(await script.ended).toMatchObject({ code: null, signal: name })
  })

  test('the exit code is that of the first signal, whatever the second is', async () => {
    const script = await startScript(WAITING)
    expect(await script.line()).toBe('ready')
    script.signal('SIGINT')
    expect([await script.line(), await script.line()][1]).toBe('stop, exit code 130')
    script.signal('SIGTERM')
    expect([await script.line(), await script.line()][1]).toBe('abort, exit code 130')
    script.signal('SIGKILL')
    await script.ended
  })

  test('once disposed of, a signal kills as usual', async () => {
    const script = await startScript(WAITING, ['dispose'])
    expect(await script.line()).toBe('ready')
    script.signal('SIGTERM')
    expect(await script.ended).toMatchObject({ code: null, signal: 'SIGTERM' })
  })
})
