// A STATE message as a destination hands it back: unchanged, but for how many records it has.

import type { AirbyteState } from './messages.ts'

/** The line with `destinationStats` in its state. The protocol wants counts with a decimal point. */
export function withCount({ line, state, destinationStats }: AirbyteState, records: number): string {
  const { buffer, start, end } = line
  const stats = `{"recordCount":${records}.0}`
  const text = (from: number, to: number): string => buffer.toString('utf8', from, to)
  if (destinationStats) {
    return `${text(start, destinationStats.start)}${stats}${text(destinationStats.end, end)}`
  }
  const brace = state.end - 1
  const before = text(start, brace)
  const isEmpty = text(state.start, brace).trim() === '{'
  return `${before}${isEmpty ? '' : ','}"destinationStats":${stats}${text(brace, end)}`
}
