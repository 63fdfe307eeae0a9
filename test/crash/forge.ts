// Files as something other than the program leaves them: another host, a bad disk, a hand.

import { createHash } from 'node:crypto'
import type { Workspace } from './workspace.ts'

export interface SidecarFields {
  readonly pipeline: string
  readonly run: string
  readonly epoch: number
  readonly format: number
}

/** Replaces the state file by one that is whole, but says something else. */
export async function forge(
  place: Workspace,
  path: string,
  change: (state: SidecarFields) => SidecarFields,
): Promise<void> {
  const text = (await place.read(path))?.toString() ?? ''
  const { sha256: _, ...state } = JSON.parse(text) as SidecarFields & { sha256: string }
  const body = JSON.stringify(change(state))
  const sha256 = createHash('sha256').update(body).digest('hex')
  await place.write({ [path]: `${body.slice(0, -1)},"sha256":"${sha256}"}\n` })
}
