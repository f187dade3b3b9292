import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Rounds of each pair; the median of their ratios is what is printed. */
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 3)

/** Scales the sizes down for a quick look: 1 is 2 GiB and 20,000 files. */
export const SCALE = Number(process.env['BENCH_SCALE'] ?? 1)
export const LARGE_BYTES = Math.round(256 * 1024 * 1024 * SCALE)
export const LARGE_FILES = 8
export const SMALL_FILES = Math.round(20_000 * SCALE)

export interface Contender {
  readonly name: string
  /** One whole piece of work, durable at its end; what it prepares itself is timed, too. */
  readonly run: () => unknown
  /** Before each round, not timed. */
  readonly prepare?: () => unknown
}

/** Runs ours and the others in turn and prints the median seconds and ratios. */
export async function compare(
  title: string,
  target: number,
  contenders: readonly Contender[],
): Promise<void> {
  const seconds = contenders.map((): number[] => [])
  for (let round = 0; round < ROUNDS; round++)
    for (const [index, contender] of contenders.entries()) {
      await contender.prepare?.()
      execFileSync('sync')
      const begun = performance.now()
      await contender.run()
      seconds[index]?.push((performance.now() - begun) / 1000)
    }
  const medians = seconds.map(median)
  const best = Math.min(...medians.slice(1))
  const ratio = (medians[0] ?? 0) / best
  const others = contenders
    .map(({ name }, index) => `${name} ${medians[index]?.toFixed(2)} s`)
    .join(', ')
  const verdict = ratio <= target ? 'reached' : 'MISSED'
  process.stdout.write(
    `${title}: ratio ${ratio.toFixed(2)} (target ≤ ${target}: ${verdict}); ${others}\n`,
  )
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

/** The largest resident set of a process so far, in bytes. */
export function peakMemoryBytes(pid: number | 'self'): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024
}
