// bizon plan: the plan as columns for people, or one line of JSON.

import type { PipelineConfig } from '../../../lib/config.ts'
import type { PlannedChange } from '../../../lib/destination.ts'
import { stringifyJson } from '../../../lib/json.ts'
import type { RunPlan } from '../../../lib/plan/run.ts'
import type { PlannedRead } from '../../../lib/source.ts'
import { count, records, size } from '../../progress.ts'
import { columns } from '../state/columns.ts'
import { partLines, partsJson } from '../state/parts.ts'

export function planText({ name, source, destination }: PipelineConfig, plan: RunPlan): string {
  const { decision, from, total, heldBy, reasons, changes } = plan
  const rows: [string, string][] = [
    ['Pipeline', `${name} (${source.name} - ${source.stream}), ${source.mode}; nothing is run`],
    ['Run', reasons.join('\n')],
  ]
  // Of a run in partitions each says it of itself.
  if (from && !plan.partitions)
    rows.push(['Durable', `${records(from.rows)} of this run${from.end ? ', which is all of them' : ''}`])
  const resets = resetText(plan)
  if (resets !== undefined) rows.push(['Reset', resets])
  const { since } = decision
  if (since?.value !== undefined) rows.push(['Watermark', stringifyJson(since.value)])
  if (total !== undefined) rows.push(['Source', `${count(total)} record${total === 1 ? '' : 's'}, as it counts them`])
  if (plan.partitions) rows.push(['Partitions', partLines(plan.partitions).map(heldLine(plan.partitions)).join('\n')])
  if (plan.queue) rows.push(['Queue', queueLine(plan.queue)])
  if (plan.reads !== undefined) rows.push(['Reads', readLines(plan.reads)])
  if (heldBy !== undefined) rows.push(['Locked', `by ${heldBy}: a run is refused until that one has ended`])
  rows.push([`Target`, changes === undefined ? unsaid(plan, destination.name) : changeLines(changes)])
  return columns(rows)
}

const heldLine =
  (parts: NonNullable<RunPlan['partitions']>) =>
  (line: string, at: number): string =>
    parts[at]?.heldBy === undefined ? line : `${line}; locked by ${parts[at].heldBy}`

function queueLine({ place, waiting }: NonNullable<RunPlan['queue']>): string {
  if (waiting === undefined) return `${place}: nothing was put there yet`
  if (waiting === 0) return `${place}: nothing waits`
  return `${place}: ${count(waiting)} message${waiting === 1 ? ' waits' : 's wait'}, behind which an extract goes on`
}

/** Beyond, partitions are summed up. */
const MOST_SHOWN = 64

function readLines(reads: readonly PlannedRead[]): string {
  const sum = reads.reduce((total, one) => total + (one.records ?? 0), 0)
  const goesOn = reads.some((one) => one.goesOn)
  const all = `${sum === 0 ? 'nothing' : `at most ${records(sum)}`}${goesOn ? ' that wait now, then what comes' : ''}`
  const shown = reads.slice(0, MOST_SHOWN).map(({ what, unit, from, to }) => {
    if (from >= to) return `${what}: nothing behind ${unit} ${from}`
    return `${what}: ${unit} ${from} up to ${to - 1}, ${count(to - from)}`
  })
  const more = reads.length - shown.length
  return [all, ...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('\n')
}

function resetText({ decision: { consume, bindReset, asReset } }: RunPlan): string | undefined {
  if (consume.length > 0) return asReset ? 'the pending request is taken up' : 'the pending request is dropped'
  return bindReset ? 'noted, so that it is done also if this run is cut off' : undefined
}

function unsaid({ heldBy }: RunPlan, destination: string): string {
  if (heldBy !== undefined) return 'not looked at: the run that holds the lock changes it'
  return `destination ${destination} does not say what it would change`
}

const VERBS: Record<PlannedChange['action'], string> = {
  create: 'is created',
  replace: 'is replaced',
  append: 'is added to',
  merge: 'is merged into',
  replace_scope: 'is added to, and its rows of the same scope are replaced',
  empty: 'is emptied',
  keep: 'stays',
  remove: 'is removed',
  cut: 'is cut',
  alter: 'is altered',
}

function changeLines(changes: readonly PlannedChange[]): string {
  if (changes.length === 0) return 'nothing is changed'
  return changes
    .map(({ target, action, bytes, reason, sql }) => {
      const now = bytes === undefined ? '' : ` (${size(bytes)} now)`
      const why = reason === undefined ? '' : action === 'cut' ? ` ${reason}` : `: ${reason}`
      return `${target}${now} ${VERBS[action]}${why}${sql === undefined ? '' : `\n  ${sql}`}`
    })
    .join('\n')
}

export function planJson({ name, source, destination }: PipelineConfig, plan: RunPlan): string {
  const { decision, from, total, heldBy, reasons, warnings, changes } = plan
  const { action, job, cancel, consume, bindReset, complete, since } = decision
  return stringifyJson({
    pipeline: name,
    source: source.name,
    stream: source.stream,
    destination: destination.name,
    mode: source.mode,
    action,
    run: job?.id ?? null,
    attempt: job ? job.attempt + 2 : 1,
    cancels: cancel,
    replaces: complete,
    resets: { taken: consume.length, noted: bindReset },
    from: from ? { page: from.page, rows: from.rows, end: from.end } : null,
    since: since ? { time: since.time.toISOString(), watermark: since.value ?? null } : null,
    source_records: total ?? null,
    reads:
      plan.reads?.map(({ what, unit, from: first, to, records: most, goesOn }) => ({
        what,
        unit,
        from: first,
        to,
        records: most ?? null,
        goes_on: goesOn ?? false,
      })) ?? null,
    ...(plan.partitions && { partitions: partsJson(plan.partitions) }),
    ...(plan.queue && { queue: { place: plan.queue.place, waiting: plan.queue.waiting ?? null } }),
    locked_by: heldBy ?? null,
    reasons,
    warnings,
    changes:
      changes?.map(({ target, action: what, bytes, reason, sql }) => ({
        target,
        action: what,
        bytes: bytes ?? null,
        reason: reason ?? null,
        sql: sql ?? null,
      })) ?? null,
  })
}
