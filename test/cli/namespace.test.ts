import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { MountResult } from '../../src/agent-protocol/job.ts'
import { CommandError } from '../../src/cli/command-error.ts'
import { namespaceSteps } from '../../src/cli/run/namespace-command.ts'
import { type FakeJobDaemon, startFakeJobDaemon } from './fake-job-daemon.ts'
import { mount } from './resources.ts'
import { spawnCkpt } from './spawn-ckpt.ts'

const bind = (source: string, destination: string, ...options: string[]) => ({
  source,
  destination,
  type: 'bind' as const,
  options: ['rbind', ...options],
})

describe('the steps into a mount namespace', () => {
  const host = (...directories: string[]) => ({
    isDirectory: (path: string) => path === '/' || directories.includes(path),
    jobsDirectory: '/run/ckptd/jobs',
  })

  test('cover the nearest directory there is, once, and seal it again', () => {
    const mounts = [
      bind('/s/c', '/opt/trainml/checkpoint', 'ro', 'nosuid'),
      bind('/s/o', '/opt/trainml/output', 'rw'),
    ]
    expect(namespaceSteps(mounts, host('/opt'))).toEqual(
      [
        ['cover', '/opt'],
        ['directory', '/opt/trainml/checkpoint'],
        ['directory', '/opt/trainml/output'],
        ['seal', '/opt'],
        ['bind', '/s/c', '/opt/trainml/checkpoint', 'ro,nosuid'],
        ['bind', '/s/o', '/opt/trainml/output', ''],
        ['forget', '/run/ckptd/jobs'],
      ].flat(),
    )
  })

  test('cover nothing where the directories exist', () => {
    const steps = namespaceSteps(
      [bind('/s', '/opt/trainml/checkpoint', 'ro')],
      host('/opt', '/opt/trainml', '/opt/trainml/checkpoint'),
    )
    expect(steps).toEqual(
      [
        ['bind', '/s', '/opt/trainml/checkpoint', 'ro'],
        ['forget', '/run/ckptd/jobs'],
      ].flat(),
    )
  })

  test('are refused where only "/" could be covered', () => {
    expect(() => namespaceSteps([bind('/s', '/opt/x', 'ro')], host())).toThrow(CommandError)
  })
})

describe('ckpt run --no-container', () => {
  let root = ''
  let daemon: FakeJobDaemon | undefined

  beforeEach(() => {
    if (process.geteuid?.() !== 0) throw new Error('these tests make mounts and need root')
    root = mkdtempSync(join(tmpdir(), 'ckpt-namespace-'))
    for (const directory of ['source/sub', 'output', 'opt/kept', 'opt/.hidden'])
      mkdirSync(join(root, directory), { recursive: true })
    writeFileSync(join(root, 'source/model.bin'), 'weights')
    writeFileSync(join(root, 'opt/kept/file'), 'kept')
    writeFileSync(join(root, 'opt/plain file'), 'plain')
    symlinkSync('kept/file', join(root, 'opt/link'))
    // As the daemon has it: the tree comes from a mount that is read-only itself.
    execFileSync('mount', ['--bind', join(root, 'source'), join(root, 'source')])
    execFileSync('mount', ['-o', 'remount,bind,ro', join(root, 'source')])
  })
  afterEach(async () => {
    await daemon?.[Symbol.asyncDispose]()
    daemon = undefined
    execFileSync('umount', [join(root, 'source')])
    rmSync(root, { recursive: true })
  })

  /** The script runs with the mounts at `<root>/opt/new/…`, a directory that is not there. */
  async function run(
    script: string,
    name = 'checkpoint',
  ): Promise<{ status: number | null; out: string; err: string }> {
    const at = join(root, 'opt/new', name)
    const result: Partial<MountResult> = {
      mounts: [
        bind(join(root, 'source'), at, 'ro', 'nosuid', 'nodev'),
        bind(join(root, 'output'), join(root, 'opt/new/output'), 'rw', 'nosuid', 'nodev'),
      ],
      env: [`TRAINML_CHECKPOINT_PATH=${at}`, `ROOT=${root}`],
    }
    daemon = await startFakeJobDaemon({
      mountOf: () => mount(result),
      runtimeDir: join(root, 'run'),
    })
    const command = ['sh', '-c', script, 'quo"te $HOME']
    const options = ['run', '--name', 'x', '--no-container', '--']
    const ran = spawnCkpt(daemon.socket, [...options, ...command])
    const { status } = await ran.ended
    return { status, out: ran.out(), err: ran.err() }
  }

  test('gives the command the same paths and environment', async () => {
    const { status, out } = await run('cat "$TRAINML_CHECKPOINT_PATH/model.bin"; echo; echo "$0"')
    expect({ status, out }).toEqual({ status: 0, out: 'weights\nquo"te $HOME\n' })
  })

  test('takes a directory name as it is, whatever it holds', async () => {
    const { status, out } = await run('cat "$TRAINML_CHECKPOINT_PATH/model.bin"', `a 1 \\ $b '"`)
    expect({ status, out }).toEqual({ status: 0, out: 'weights' })
  })

  test('does not start where anything below is writable', async () => {
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(root, 'source/sub')])
    try {
      const { status, out, err } = await run('echo started')
      expect({ status, out }).toEqual({ status: 125, out: '' })
      expect(err).toContain('is not wholly read-only')
    } finally {
      execFileSync('umount', [join(root, 'source/sub')])
    }
  })

  test('keeps no copy of what is mounted for other jobs', async () => {
    mkdirSync(join(root, 'run/jobs'), { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(root, 'run/jobs')])
    mkdirSync(join(root, 'run/jobs/other'))
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(root, 'run/jobs/other')])
    try {
      const { out } = await run('grep -c "$ROOT/run/jobs" /proc/self/mountinfo')
      expect(out).toBe('0\n')
      expect(await readFile('/proc/self/mountinfo', 'utf8')).toContain(`${root}/run/jobs/other`)
    } finally {
      execFileSync('umount', ['-R', join(root, 'run/jobs')])
    }
  })

  test('is read-only for root too, which cannot make it writable again', async () => {
    const { out, err } = await run(`
      cd "$TRAINML_CHECKPOINT_PATH"
      touch new || echo no new
      echo x >>model.bin || echo no write
      mount -o remount,bind,rw "$TRAINML_CHECKPOINT_PATH" || echo no remount
      umount "$TRAINML_CHECKPOINT_PATH" || echo no umount`)
    expect(out).toBe('no new\nno write\nno remount\nno umount\n')
    expect(err).toContain('Read-only file system')
  })

  test('writes its output where the daemon made room for it', async () => {
    expect(await run('echo result >"$ROOT/opt/new/output/r"')).toMatchObject({ status: 0 })
    expect(await readFile(join(root, 'output/r'), 'utf8')).toBe('result\n')
  })

  test('still sees what stands beside the missing directories, and can write there', async () => {
    const { status, out } = await run(`
      cd "$ROOT/opt" && cat kept/file "plain file" link && [ -d .hidden ] && [ -L link ] &&
      echo more >kept/more && ! touch lost`)
    expect({ status, out }).toEqual({ status: 0, out: 'keptplainkept' })
    expect(await readFile(join(root, 'opt/kept/more'), 'utf8')).toBe('more\n')
  })

  test('leaves nothing behind on the host', async () => {
    const mounts = async (): Promise<string[]> =>
      (await readFile('/proc/self/mountinfo', 'utf8'))
        .split('\n')
        .filter((line) => line.includes(root))
    const before = await mounts()
    await run('true')
    expect(existsSync(join(root, 'opt/new'))).toBe(false)
    expect(readdirSync(join(root, 'opt')).sort()).toEqual(['.hidden', 'kept', 'link', 'plain file'])
    expect(await mounts()).toEqual(before)
  })

  test('passes on the exit status, a missing command’s too', async () => {
    expect(await run('exit 5')).toMatchObject({ status: 5 })
    await daemon?.[Symbol.asyncDispose]()
    expect(await run('exec /nonexistent/program')).toMatchObject({ status: 127 })
  })
})
