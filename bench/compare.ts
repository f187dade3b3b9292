import { setImmediate as turn } from 'node:timers/promises'
import type { Scratch } from '../test/support/scratch.ts'
import { command } from './command.ts'
import { interruption } from './interruption.ts'
import { median } from './statistics.ts'
import { touchMemory } from './touch-memory.ts'

/** Rounds of each row; what counts is the median of their ratios. */
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 3)

export interface Contender {
  readonly name: string
  /** Before each run, not timed. */
  readonly prepare?: () => unknown
  /** One whole piece of work, durable at its end. */
  readonly run: () => unknown
  /** After each run, not timed: removes what it made, so that each run begins alike. */
  readonly cleanup?: () => unknown
}

export interface Row {
  readonly title: string
  /** Our seconds by those of the best other, at most; none where there is no other. */
  readonly target?: number
  /** The filesystem that all of it lies on. */
  readonly place: Scratch
  /** What one run writes, about. */
  readonly dataBytes: number
}

/** Runs ours, the first, and the others in turn and prints seconds and ratios. */
export async function compare(
  row: Row,
  ours: Contender,
  others: readonly Contender[],
): Promise<void> {
  const ourSeconds: number[] = []
  const rivals = others.map((contender) => ({ contender, seconds: [] as number[] }))
  for (let round = 0; round < ROUNDS; round++) {
    ourSeconds.push(await time(row, ours))
    for (const { contender, seconds } of rivals) seconds.push(await time(row, contender))
  }
  const compared = rivals.map(({ contender, seconds }) => {
    const ratios = seconds.map((theirs, round) => (ourSeconds[round] ?? Number.NaN) / theirs)
    return { name: contender.name, seconds, ratio: median(ratios), least: Math.min(...ratios) }
  })
  const lines = [
    `${row.title}${verdict(row, Math.max(...compared.map(({ ratio }) => ratio)))}`,
    `  ${ours.name}: ${inSeconds(ourSeconds)}`,
    ...compared.map(
      ({ name, seconds, ratio, least }) =>
        `  ${name}: ${inSeconds(seconds)}; ratio ${ratio.toFixed(2)}, least ${least.toFixed(2)}`,
    ),
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

function verdict({ target }: Row, ratio: number): string {
  if (target === undefined) return ''
  return `: ${ratio.toFixed(2)} (target ≤ ${target}: ${ratio <= target ? 'reached' : 'MISSED'})`
}

/** Seconds of one run. */
async function time(row: Row, { prepare, run, cleanup }: Contender): Promise<number> {
  // Signals are heard between turns of the event loop.
  await turn()
  interruption.throwIfAborted()
  await prepare?.()
  await command('sync', ['-f', row.place.path])
  await touchMemory(2.5 * row.dataBytes)
  const begun = performance.now()
  await run()
  const seconds = (performance.now() - begun) / 1000
  await cleanup?.()
  return seconds
}

/** Each round's seconds. */
function inSeconds(values: readonly number[]): string {
  return `${values.map((value) => value.toFixed(2)).join(' ')} s`
}
