import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeScratch, type Scratch } from '../support/scratch.ts'
import { type FakeJobDaemon, startFakeJobDaemon } from './fake-job-daemon.ts'
import { type FakeRuntime, makeFakeRuntime } from './fake-runtime.ts'

const CKPT = fileURLToPath(new URL('../../src/cli/ckpt.ts', import.meta.url))
const CTRL_C = '\u0003'

let scratch: Scratch
let runtime: FakeRuntime
let daemon: FakeJobDaemon
beforeEach(async () => {
  scratch = makeScratch('terminal')
  runtime = await makeFakeRuntime()
  daemon = await startFakeJobDaemon()
})
afterEach(async () => {
  await daemon[Symbol.asyncDispose]()
  await runtime[Symbol.asyncDispose]()
  await scratch[Symbol.asyncDispose]()
})

/** Counts the interrupts that reach it, and ends with their number at SIGTERM. */
const JOB = `n=0; trap 'n=$((n + 1)); echo got-$n' INT; trap 'exit $n' TERM
echo up; while :; do sleep 0.02; done`

/** A shell's word, whatever it holds. */
const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`

test('on a terminal, Ctrl-C and a signal to ckpt alone each reach the container once', async () => {
  const argv = [process.execPath, CKPT, '--socket', daemon.socket, 'run', '--name', 'tune', '--']
  const line = [...argv, runtime.podman, 'run', 'img', 'sh', '-c', JOB].map(quoted).join(' ')
  const terminal = spawn(
    'script',
    ['-qec', `echo $$ >${scratch.join('pid')}; exec ${line}`, '/dev/null'],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  try {
    let screen = ''
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => (screen += text))
    const ended = new Promise((resolve) => terminal.once('exit', resolve))
    const shows = (text: string) => expect.poll(() => screen).toContain(text)
    await shows('up')
    const pid = Number(readFileSync(scratch.join('pid'), 'utf8'))
    terminal.stdin.write(CTRL_C)
    await shows('got-1')
    process.kill(pid, 'SIGINT')
    await shows('got-2')
    terminal.stdin.write(CTRL_C)
    await shows('got-3')
    process.kill(pid, 'SIGTERM')
    await ended
    expect(daemon.finished[0]).toMatchObject({ worker: 1, request: { exit_code: 3 } })
  } finally {
    terminal.kill('SIGKILL')
  }
})
