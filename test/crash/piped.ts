// The same pipeline as two processes: what a crash test runs in such a folder is bizon-extract into bizon-load, and the point
// that it kills at is passed by one of the two.

import { dirname, join } from 'node:path'
import { BIZON, type Ended, type Execution, Workspace } from './workspace.ts'

/** The points of bizon-extract; the others are those of bizon-load. */
const OF_EXTRACT = /^(?:fetch|pipe)\./

export class PipedWorkspace extends Workspace {
  static of({ folder }: Workspace): PipedWorkspace {
    return new PipedWorkspace(folder)
  }

  override async copy(): Promise<PipedWorkspace> {
    return PipedWorkspace.of(await super.copy())
  }

  /** Of a half that was killed it is told that it was; else the exit code is that of the first half that failed. */
  override async bizon({ program = BIZON, failpoint, env = {} }: Execution = {}): Promise<Ended> {
    const half = (name: 'extract' | 'load'): string => {
      const isKilled = failpoint !== undefined && OF_EXTRACT.test(failpoint) === (name === 'extract')
      const armed = isKilled ? `BIZON_FAILPOINT=${failpoint} ` : ''
      const path = join(dirname(program), program.endsWith('.mjs') ? `bizon-${name}.mjs` : `bizon-${name}.js`)
      return `${armed}'${process.execPath}' '${path}' pipeline.yml --quiet`
    }
    const script = `${half('extract')} | ${half('load')} > /dev/null; echo "\${PIPESTATUS[@]}"`
    const { stdout, stderr } = await this.execute(['bash', '-c', script], env)
    const codes = stdout.trim().split(' ').map(Number)
    const killed = failpoint !== undefined && codes[OF_EXTRACT.test(failpoint) ? 0 : 1] === 137
    const code = codes.find((each) => each !== 0) ?? 0
    return { code: killed ? null : code, signal: killed ? 'SIGKILL' : null, stdout: '', stderr }
  }
}
