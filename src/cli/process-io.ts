import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { isatty, type WriteStream } from 'node:tty'
import type { Clock, Input, Io, Output } from './io.ts'

/** The real thing: this process's streams, environment, signals and clock. */
export function processIo(): Io {
  return {
    stdout: outputOf(process.stdout),
    stderr: outputOf(process.stderr),
    stdin: terminalInput,
    env: process.env,
    isRoot: process.geteuid?.() === 0,
    clock: steadyClock,
    onSignal(signal, handler) {
      process.on(signal, handler)
      return () => {
        process.off(signal, handler)
      }
    },
  }
}

function outputOf(stream: WriteStream & { readonly fd: number }): Output {
  // A reader that went away ("ckpt list | head -1") is no failure; what is left is not wanted.
  let readerGone = false
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    readerGone = true
  })
  return {
    write(text) {
      if (!readerGone) stream.write(text)
    },
    async drained() {
      if (!readerGone && stream.writableNeedDrain)
        await Promise.race([once(stream, 'drain'), once(stream, 'close')])
    },
    isTTY: isatty(stream.fd),
    columns: () => stream.columns || 80,
  }
}

const terminalInput: Input = {
  isTTY: isatty(process.stdin.fd),
  async ask(question) {
    const lines = createInterface({ input: process.stdin, output: process.stderr })
    const ended = new Promise<undefined>((resolve) => {
      const end = (): void => resolve(undefined)
      lines.once('close', end)
      lines.once('SIGINT', end)
    })
    try {
      const reply = await Promise.race([lines.question(question), ended])
      if (reply === undefined) process.stderr.write('\n')
      return reply
    } finally {
      lines.close()
    }
  },
}

const steadyClock: Clock = {
  now: () => performance.now(),
  async sleep(ms, signal) {
    await sleep(ms, undefined, signal === undefined ? {} : { signal })
  },
}
