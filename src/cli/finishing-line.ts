import type { Progress } from '../agent-protocol/checkpoint.ts'
import type { LiveLine } from './live-line.ts'
import { fitWidth } from './text/display-width.ts'
import { progressLine, progressText } from './text/progress-line.ts'

/** One line of what the finishing of workers waits for and how far their outputs are saved. */
export interface FinishingLine {
  /** What is known of a worker, safe for a terminal; undefined once it is finished. */
  note(worker: number, text: string | undefined): void
  /** Undefined while nothing of its output is being saved. */
  progress(worker: number, progress: Progress | undefined): void
}

export function finishingLine(live: LiveLine): FinishingLine {
  const notes = new Map<number, string>()
  const saving = new Map<number, Progress>()
  const draw = (): void => {
    // That a worker is being finished says less than how far that is.
    const said = [...new Set(notes.values())].filter(
      (text) => saving.size === 0 || !/^finishing worker [\d, ]+$/.test(text),
    )
    const parts = Array.from(saving, ([worker, progress]) => ({ name: nameOf(worker), progress }))
    const texts = [
      ...said,
      ...parts.map(({ name, progress }) => `${name}${progressText(progress)}`),
    ]
    const [only] = parts
    if (texts.length === 0) return live.clear()
    live.update({
      text: texts.join('; '),
      key: [...said, ...parts.map(({ name, progress }) => name + progress.phase)].join('; '),
      line: (columns) =>
        only !== undefined && texts.length === 1
          ? only.name + progressLine(only.progress, columns - only.name.length)
          : fitWidth(texts.join('; '), columns),
    })
  }
  return {
    note(worker, text) {
      if (text === undefined) {
        notes.delete(worker)
        saving.delete(worker)
      } else notes.set(worker, text)
      draw()
    },
    progress(worker, progress) {
      if (progress === undefined ? !saving.delete(worker) : false) return
      if (progress !== undefined) saving.set(worker, progress)
      draw()
    },
  }
}

function nameOf(worker: number): string {
  return `output of worker ${worker}: `
}
