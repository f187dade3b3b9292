/** How far a transfer is; the field names are those of the API. */
export interface TransferProgress {
  readonly phase: 'listing' | 'fetching' | 'extracting' | 'comparing'
  readonly waiting_for?: string
  readonly bytes_done: number
  readonly bytes_total?: number
  readonly files_done: number
  readonly files_total?: number
  /** Over the last few seconds. */
  readonly bytes_per_second: number
  readonly seconds_left?: number
}

/** The sums behind a transfer's progress; told to the caller at intervals, never for each byte. */
export interface ProgressMeter extends Disposable {
  setPhase(phase: TransferProgress['phase']): void
  setTotals(totals: { bytes: number | undefined; files: number | undefined }): void
  /** Files that are stored, with all of their bytes. */
  addDone(files: number, bytes: number): void
  /** How much of a file under way is there; 0 when it is done or given up. */
  setPart(key: string, bytes: number): void
  /** Bytes that came over the network so far. */
  setReceived(bytes: number): void
  /** What nothing moves for, by who waits; undefined: it goes on. */
  setWaiting(who: string, what: string | undefined): void
}

const TELL_MS = 500
/** The rate is over so many intervals. */
const RATE_INTERVALS = 10

export function progressMeter(onProgress: (progress: TransferProgress) => void): ProgressMeter {
  let phase: TransferProgress['phase'] = 'fetching'
  let totals: { bytes: number | undefined; files: number | undefined } = {
    bytes: undefined,
    files: undefined,
  }
  const done = { bytes: 0, files: 0 }
  let received = 0
  const parts = new Map<string, number>()
  const waiting = new Map<string, string>()
  const samples: { atMs: number; bytes: number }[] = [{ atMs: performance.now(), bytes: 0 }]

  const tell = (): void => {
    const sample = { atMs: performance.now(), bytes: received }
    const oldest = samples[0] ?? sample
    samples.push(sample)
    if (samples.length > RATE_INTERVALS) samples.shift()
    const seconds = (sample.atMs - oldest.atMs) / 1000
    const rate = seconds > 0 ? Math.round((sample.bytes - oldest.bytes) / seconds) : 0
    let bytesDone = done.bytes
    for (const bytes of parts.values()) bytesDone += bytes
    const [waitingFor] = waiting.values()
    onProgress({
      phase,
      ...(waitingFor === undefined ? {} : { waiting_for: waitingFor }),
      bytes_done: bytesDone,
      ...(totals.bytes === undefined ? {} : { bytes_total: totals.bytes }),
      files_done: done.files,
      ...(totals.files === undefined ? {} : { files_total: totals.files }),
      bytes_per_second: rate,
      ...(totals.bytes === undefined || rate === 0
        ? {}
        : { seconds_left: Math.ceil(Math.max(0, totals.bytes - bytesDone) / rate) }),
    })
  }
  const timer = setInterval(tell, TELL_MS)
  timer.unref()
  return {
    setPhase: (next) => {
      phase = next
    },
    setTotals: (next) => {
      totals = next
    },
    addDone: (files, bytes) => {
      done.files += files
      done.bytes += bytes
    },
    setPart: (key, bytes) => {
      if (bytes === 0) parts.delete(key)
      else parts.set(key, bytes)
    },
    setReceived: (bytes) => {
      received = bytes
    },
    setWaiting: (who, what) => {
      if (what === undefined) waiting.delete(who)
      else waiting.set(who, what)
    },
    [Symbol.dispose]: () => {
      clearInterval(timer)
      tell()
    },
  }
}
