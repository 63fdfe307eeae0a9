// One crash: prepare the folder, kill the run at a point, look as a reader would, run again to the end, judge.

import type { ChildProcess } from 'node:child_process'
import { complaintsAfter, complaintsBetween, sidecarOf, stateOf } from './oracle.ts'
import type { Scenario } from './scenario.ts'
import { type Ended, type Execution, until, Workspace } from './workspace.ts'

/** The folder as the run that is going to be killed finds it. */
export async function prepare(scenario: Scenario): Promise<Workspace> {
  const place = await Workspace.create(scenario.earlier ?? scenario.files)
  if (!scenario.earlier) return place
  const { code, stderr } = await place.bizon()
  if (code !== 0) throw new Error(`${scenario.title}: the run before failed: ${stderr}`)
  await place.write(scenario.files)
  return place
}

/** Runs to the scenario's end. */
export async function finish(place: Workspace, scenario: Scenario, execution: Execution = {}): Promise<Ended> {
  const { stopAt, sidecar, args = [] } = scenario
  if (stopAt === undefined) return place.bizon({ args, ...execution })
  const earlier = (await sidecarOf(place, sidecar))?.epoch
  const during = async (child: ChildProcess): Promise<void> => {
    const reached = async (): Promise<boolean> => {
      const held = await sidecarOf(place, sidecar)
      // Claimed by the new process: only then is it sure to heed signals.
      return held !== undefined && held.epoch !== earlier && (held.checkpoint?.rows ?? 0) >= stopAt
    }
    await until(`${stopAt} rows are durable`, reached, child)
    child.kill('SIGTERM')
  }
  return place.bizon({ args, during, ...execution })
}

/** Runs until the program kills itself. Complains when it does not. */
export async function killAt(
  place: Workspace,
  { args = [] }: Scenario,
  failpoint: string,
  program?: string,
): Promise<string[]> {
  const { code, signal, stderr } = await place.bizon({
    args,
    failpoint: `${failpoint}:kill`,
    ...(program !== undefined && { program }),
  })
  return signal === 'SIGKILL' ? [] : [`${failpoint} did not fire: exit ${code} ${stderr}`]
}

/** After a kill, however it came: complaints about what it left, and about what the next run makes of it. */
export async function resume(place: Workspace, scenario: Scenario, program?: string): Promise<string[]> {
  try {
    return await resumeAndJudge(place, scenario, program)
  } catch (error) {
    // For instance files that the other programs cannot read.
    return [error instanceof Error ? error.message : String(error)]
  }
}

async function resumeAndJudge(place: Workspace, scenario: Scenario, program?: string): Promise<string[]> {
  const before = await stateOf(place)
  const complaints = await complaintsBetween(place, scenario, before)
  const succeeded = before.jobs.filter(({ status }) => status === 'succeeded').length
  if (scenario.once && succeeded > (scenario.earlier ? 1 : 0)) return complaints
  const { code, stderr } = await finish(place, scenario, program === undefined ? {} : { program })
  const expected = scenario.stopAt === undefined ? 0 : 143
  if (code !== expected) return [...complaints, `the next run ended with ${code}: ${stderr}`]
  return [...complaints, ...(await complaintsAfter(place, scenario, before))]
}

/** Kills at each point in turn, each in the run that resumes after the one before, then resumes to the end. */
export async function crash(
  prepared: Workspace,
  scenario: Scenario,
  failpoints: readonly string[],
  program?: string,
): Promise<string[]> {
  const place = await prepared.copy()
  try {
    const complaints: string[] = []
    for (const [at, failpoint] of failpoints.entries()) {
      if (at > 0) complaints.push(...(await complaintsBetween(place, scenario, await stateOf(place))))
      complaints.push(...(await killAt(place, scenario, failpoint, program)))
    }
    if (complaints.length === 0) complaints.push(...(await resume(place, scenario, program)))
    return complaints.map((complaint) => `${failpoints.join(', then ')}: ${complaint}`)
  } finally {
    await place.remove()
  }
}
