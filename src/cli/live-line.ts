import type { Clock, Output } from './io.ts'

/** What is going on now, for the last line of a terminal or, elsewhere, a line now and then. */
export interface LiveText {
  /** For a terminal of so many columns; redrawn at every update. */
  readonly line: (columns: number) => string
  /** For a log. */
  readonly text: string
  /** A log gets the text at once when this changes, else every ten seconds. */
  readonly key: string
}

export interface LiveLine extends Disposable {
  update(text: LiveText): void
  /** A line that stays. */
  print(line: string): void
  clear(): void
}

const LOG_INTERVAL_MS = 10_000
const CLEAR_LINE = '\r\u001b[K'

/** Every text handed in must be safe for a terminal already. */
export function openLiveLine(out: Output, clock: Clock): LiveLine {
  return out.isTTY ? terminalLine(out) : loggedLine(out, clock)
}

function terminalLine(out: Output): LiveLine {
  let shown = ''
  const draw = (line: string): void => {
    if (line === shown) return
    out.write(CLEAR_LINE + line)
    shown = line
  }
  return {
    // The last column stays free: some terminals wrap when it is written.
    update: (text) => draw(text.line(Math.max(1, out.columns() - 1))),
    print(line) {
      const below = shown
      draw('')
      out.write(`${line}\n`)
      draw(below)
    },
    clear: () => draw(''),
    [Symbol.dispose]: () => draw(''),
  }
}

function loggedLine(out: Output, clock: Clock): LiveLine {
  let lastKey: string | undefined
  let lastAt = 0
  const nothing = (): void => undefined
  return {
    update({ text, key }) {
      const now = clock.now()
      if (key === lastKey && now - lastAt < LOG_INTERVAL_MS) return
      lastKey = key
      lastAt = now
      out.write(`${text}\n`)
    },
    print: (line) => out.write(`${line}\n`),
    clear: nothing,
    [Symbol.dispose]: nothing,
  }
}
