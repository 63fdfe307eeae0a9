// Whether a pipe may be loaded where the destination stands: by the digest of the keys so far, where both are known.

import { expect, test } from 'vitest'
import { silentLog } from '../../../lib/log.ts'
import { admit } from '../../../lib/pipe/admit.ts'
import { OwnPages } from '../../../lib/pipe/own.ts'
import { writeState } from '../../../lib/pipe/state.ts'
import { RawJson } from '../../../lib/record.ts'

const start = { run: 'a'.repeat(32), at: new Date(0), page: 2, rows: 5, end: false, position: { page: 2 } }
const from = { run: 'a'.repeat(32), page: 2, rows: 5, position: { page: 2 }, end: false }

test.each([
  ['aaaaaaaa', 'aaaaaaaa', true],
  [undefined, 'aaaaaaaa', true],
  ['aaaaaaaa', undefined, true],
  ['aaaaaaaa', 'bbbbbbbb', false],
])('a pipe that begins with the digest %s, where %s is held: %s', (given, held, isAdmitted) => {
  const admitted = () =>
    admit({ ...start, ...(given && { reading: given }) }, { from: { ...from, ...(held && { reading: held }) } })
  if (isAdmitted) expect(admitted()).toMatchObject({ page: 2 })
  else expect(admitted).toThrow('the source was read once more and gave other pages')
})

test.each([
  ['aaaaaaaa', true],
  [undefined, true],
  ['bbbbbbbb', false],
])('a page that is held with one digest is passed over with the digest %s: %s', (given, isPassedOver) => {
  const beginning = { ...start, page: 0, rows: 0, position: null }
  const held = { page: 1, position: { page: 1 }, reading: 'aaaaaaaa' }
  const pages = new OwnPages(beginning, held, { log: silentLog, allowEdited: false })
  const end = { ...beginning, page: 1, position: { page: 1 }, ...(given && { reading: given }) }
  const passOver = () => pages.pageEnd(RawJson.from(writeState(end)), 2)
  if (isPassedOver) passOver()
  else expect(passOver).toThrow('line 2 of the pipe: the source was read once more and gave other pages')
})
