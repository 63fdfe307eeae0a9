// Several processes at one broker, of which some are killed.

import { complaintsAfter, stateOf } from './oracle.ts'
import type { Queued } from './queued.ts'
import { isStopped, NIGHTLY, until } from './workspace.ts'

/** Both at once, each time a little later. */
export async function killBothAgainAndAgain(queued: Queued): Promise<string[]> {
  const before = await stateOf(queued.place)
  let kills = 0
  let isExtracted = false
  /** Once it has read everything, it would begin another run. */
  const extract = async (failpoint?: string): Promise<void> => {
    if (isExtracted) return
    const { code, signal } = await queued.run('extract', failpoint === undefined ? {} : { failpoint })
    isExtracted = code === 0
    if (signal === 'SIGKILL') kills += 1
  }
  let loaded = false
  for (let n = 1; n <= (NIGHTLY ? 12 : 3) && !loaded; n++) {
    const [ended] = await Promise.all([
      queued.run('load', { failpoint: `ack.before@${1 + (n % 2)}:kill` }),
      extract(`put.after@${1 + (n % 3)}:kill`),
    ])
    loaded = ended.code === 0
    if (ended.signal === 'SIGKILL') kills += 1
  }
  if (kills < 3) return [`${kills} kills`]
  await extract()
  const { code, stderr } = loaded ? { code: 0, stderr: '' } : await queued.run('load')
  return code === 0 ? complaintsAfter(queued.place, queued.scenario, before) : [`the last load: ${code} ${stderr}`]
}

/** The one that has the messages is killed at its second page; the other one takes its place. */
export async function killOneOfTwo(queued: Queued): Promise<string[]> {
  const before = await stateOf(queued.place)
  let killed = 0
  const loader = () =>
    queued.run('load', {
      failpoint: 'cursor.after@2:stop',
      async during(child) {
        const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null
        await until('it stops, or ends', async () => isOver() || (await isStopped(child)))
        if (!isOver()) child.kill(killed++ === 0 ? 'SIGKILL' : 'SIGCONT')
      },
    })
  const [first, second, extracted] = await Promise.all([loader(), loader(), queued.run('extract')])
  const codes = [first.code, second.code].sort()
  if (extracted.code !== 0 || codes[0] !== 0 || killed !== 2)
    return [`${extracted.stderr} ${first.stderr} ${second.stderr}`]
  return complaintsAfter(queued.place, queued.scenario, before)
}
