import { expect, test, vi } from 'vitest'
import { Absence } from '../../../connectors/kafka/absence.ts'
import { silentLog } from '../../../lib/log.ts'

test('brokers that are missed for longer than a moment are told of once, and once more when they answer', () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  try {
    const said: string[] = []
    const log = {
      ...silentLog,
      warn: (what: string) => void said.push(what),
      info: (what: string) => void said.push(what),
    }
    const absence = new Absence('Kafka at a:1', log)
    absence.missed(new Error('ECONNREFUSED'), 60)
    absence.answered()
    expect(said).toEqual([])
    absence.missed(new Error('ECONNREFUSED'), 60)
    vi.advanceTimersByTime(3000)
    absence.missed(new Error('Kafka at a:1: no answer for 45 s'), 60)
    absence.missed(new Error('ECONNREFUSED'), 60)
    absence.answered()
    absence.answered()
    expect(said).toEqual([
      'Kafka at a:1: no answer for 45 s; trying again for up to 60 s',
      'Kafka at a:1 answers again',
    ])
  } finally {
    vi.useRealTimers()
  }
})

test('an idle connection that is lost each hour is not missed', () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  try {
    const said: string[] = []
    const absence = new Absence('Kafka at a:1', { ...silentLog, warn: (what) => void said.push(what) })
    for (let i = 0; i < 5; i++) {
      absence.missed(new Error('ECONNRESET'), 60)
      vi.advanceTimersByTime(3_600_000)
    }
    expect(said).toEqual([])
  } finally {
    vi.useRealTimers()
  }
})
