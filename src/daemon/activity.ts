import type { Progress } from '../agent-protocol/checkpoint.ts'

/** What a piece of long work says of itself. */
export interface ActivityReport {
  readonly phase: string
  readonly waitingFor?: string | undefined
  readonly bytesDone: number
  readonly bytesTotal?: number | undefined
  readonly filesDone: number
  readonly filesTotal?: number | undefined
}

/** Over how long the rate is taken. */
const RATE_WINDOW_MS = 5_000

/** The progress of one piece of work, with its rate over the last seconds. */
export interface Activity {
  update(report: ActivityReport): void
  progress(): Progress
}

export function startActivity(phase: string, now: () => number): Activity {
  let report: ActivityReport = { phase, bytesDone: 0, filesDone: 0 }
  let marks: { atMs: number; bytes: number }[] = [{ atMs: now(), bytes: 0 }]
  const rate = (): number => {
    const atMs = now()
    marks = marks.filter(
      (mark, index) => index === marks.length - 1 || atMs - mark.atMs <= RATE_WINDOW_MS,
    )
    const first = marks[0]
    if (first === undefined || atMs - first.atMs < 200) return 0
    return Math.max(0, Math.round(((report.bytesDone - first.bytes) * 1000) / (atMs - first.atMs)))
  }
  return {
    update: (next) => {
      if (next.phase !== report.phase) marks = []
      report = next
      const last = marks.at(-1)
      if (last === undefined || now() - last.atMs >= 250)
        marks.push({ atMs: now(), bytes: next.bytesDone })
    },
    progress: () => {
      const bytesPerSecond = rate()
      const left =
        report.bytesTotal === undefined ? undefined : report.bytesTotal - report.bytesDone
      return {
        phase: report.phase,
        bytes_done: report.bytesDone,
        files_done: report.filesDone,
        bytes_per_second: bytesPerSecond,
        ...(report.waitingFor === undefined ? {} : { waiting_for: report.waitingFor }),
        ...(report.bytesTotal === undefined ? {} : { bytes_total: report.bytesTotal }),
        ...(report.filesTotal === undefined ? {} : { files_total: report.filesTotal }),
        ...(left === undefined || bytesPerSecond === 0
          ? {}
          : { seconds_left: Math.ceil(left / bytesPerSecond) }),
      }
    },
  }
}
