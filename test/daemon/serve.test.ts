import { chmodSync, chownSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import type { Job } from '../../src/agent-protocol/job.ts'
import { runCkptd } from '../support/ckptd.ts'
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts'
import { makeScratch, mountsBelow, type Scratch } from '../support/scratch.ts'

const DAEMON_UID = 60_900
const OTHER_UID = 30_003

/** A second `ckptd serve`, which is expected to end by itself. */
function serve(scratch: Scratch, args: readonly string[]) {
  return runCkptd([
    'serve',
    '--runtime-dir',
    scratch.join('run2'),
    '--cdi-dir',
    scratch.join('cdi2'),
    '--log-format',
    'json',
    ...args,
  ])
}

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`)
}

async function mountJob(daemon: TestDaemon): Promise<string> {
  const job = await daemon.ok<Job>('POST', '/v1/jobs', {
    name: 'held',
    data: { output_type: 'trainml', output_uri: 'checkpoint' },
  })
  await daemon.ok('POST', `/v1/jobs/${job.id}/workers/1/mount`, {})
  return job.id
}

describe('the data directory of "ckptd serve"', () => {
  it('that a daemon has open is left alone, whoever is to have it', async () => {
    await using daemon = await startDaemon()
    const { dataDir, scratch } = daemon
    const user = await serve(scratch, ['--data-dir', dataDir, '--user', String(OTHER_UID)])
    expect(user).toMatchObject({ status: 75, err: expect.stringContaining(dataDir) as string })
    expect(statSync(dataDir).uid).toBe(DAEMON_UID)
    const same = await serve(scratch, ['--data-dir', dataDir])
    expect(same).toMatchObject({ status: 75, err: expect.stringMatching(/has .* open/) as string })
    expect(existsSync(scratch.join('run2'))).toBe(false)
    await mountJob(daemon)
  })

  it('of another user is refused by name, and says what to do', async () => {
    await using daemon = await startDaemon()
    await daemon.stop()
    const { dataDir, scratch } = daemon
    const { status, err } = await serve(scratch, [
      '--data-dir',
      dataDir,
      '--user',
      String(OTHER_UID),
    ])
    expect(status).toBe(78)
    expect(err).toContain(`belongs to user ${DAEMON_UID} and the daemon would run as user 30003`)
    expect(err).toContain(`--user ${DAEMON_UID}`)
    expect(statSync(dataDir).uid).toBe(DAEMON_UID)
  })

  it('that holds something else is refused', async () => {
    await using scratch = makeScratch('serve')
    chmodSync(scratch.path, 0o755)
    mkdirSync(scratch.join('home'))
    writeFileSync(scratch.join('home', 'letter'), 'dear')
    const { status, err } = await serve(scratch, ['--data-dir', scratch.join('home')])
    expect(status).toBe(78)
    expect(err).toContain('belongs to user root (0)')
    expect(err).toContain('name another directory')
    expect(statSync(scratch.join('home')).uid).toBe(0)
  })

  it('that is empty becomes the daemon’s', async () => {
    await using scratch = makeScratch('serve')
    mkdirSync(scratch.join('data'))
    chownSync(scratch.join('data'), OTHER_UID, OTHER_UID)
    await using _daemon = await startDaemon({ scratch })
    expect(statSync(scratch.join('data')).uid).toBe(DAEMON_UID)
  })
})

describe('"ckptd serve" that cannot succeed', () => {
  it('ends with the status of the child: a store of a newer version', async () => {
    await using daemon = await startDaemon()
    await daemon.stop()
    const db = new Sqlite(`${daemon.dataDir}/ckptd.db`)
    db.pragma('user_version = 99')
    db.close()
    const { status, err } = await serve(daemon.scratch, ['--data-dir', daemon.dataDir])
    expect(status).toBe(65)
    expect(err).toContain('this store has schema 99')
  })

  it('ends with the status of the child: a runtime directory that is not root’s', async () => {
    await using scratch = makeScratch('serve')
    chmodSync(scratch.path, 0o755)
    mkdirSync(scratch.join('run2'))
    chownSync(scratch.join('run2'), OTHER_UID, OTHER_UID)
    const { status, err } = await serve(scratch, ['--data-dir', scratch.join('data')])
    expect(status).toBe(78)
    expect(err).toContain('must be root’s')
  })

  it('refuses a network that is none, as "ckptd config" does', async () => {
    await using scratch = makeScratch('serve')
    const networks = ['10.0.0.0/8', 'nonsense'].flatMap((one) => ['--allow-network', one])
    const wrong = ['--data-dir', scratch.join('data'), ...networks]
    for (const end of [await serve(scratch, wrong), await runCkptd(['config', ...wrong])]) {
      expect(end.status).toBe(78)
      expect(end.err).toContain('--allow-network "nonsense" is no network')
    }
    expect(existsSync(scratch.join('data'))).toBe(false)
  })
})

describe('"ckptd serve" that is refused something', () => {
  it.each([
    ['an unprivileged user’s runtime directory', 'run', 'data', /permission denied, mkdir/],
    ['an unprivileged user’s data directory', 'open/run', 'data', /opening the data directory/],
  ])('says what, and what to do: %s', async (_, runtime, data, message) => {
    await using scratch = makeScratch('serve')
    chmodSync(scratch.path, 0o755)
    mkdirSync(scratch.join('open'))
    chmodSync(scratch.join('open'), 0o777)
    const directories = ['--runtime-dir', scratch.join(runtime), '--data-dir', scratch.join(data)]
    const user = { uid: OTHER_UID, gid: OTHER_UID }
    const { status, err } = await runCkptd(['serve', ...directories], user)
    expect(status).toBe(77)
    expect(err).toMatch(message)
    expect(err).toMatch(/^ckptd: .*\n {2}Correct owner and mode of what the message names.*\n$/)
  })

  it('says that the path of its socket is too long', async () => {
    await using scratch = makeScratch('serve')
    const runtime = scratch.join('x'.repeat(120))
    const { status, err } = await serve(scratch, [
      '--data-dir',
      scratch.join('data'),
      '--runtime-dir',
      runtime,
    ])
    expect(status).toBe(78)
    expect(err).toMatch(/^ckptd: the path of a socket has at most 107 bytes .*\n.*\n$/)
  })

  it('says that its runtime directory is another daemon’s', async () => {
    await using daemon = await startDaemon()
    const { scratch, runtimeDir } = daemon
    const { status, err } = await serve(scratch, [
      '--data-dir',
      scratch.join('data2'),
      '--runtime-dir',
      runtimeDir,
    ])
    expect(status).toBe(75)
    expect(err).toContain(`another daemon answers at ${runtimeDir}/ckptd.sock`)
    expect(err).toContain('Another ckptd runs in this runtime directory')
  })
})

describe('the processes of "ckptd serve"', () => {
  it('end in order when it is killed, and what is mounted stays', async () => {
    await using daemon = await startDaemon()
    const job = await mountJob(daemon)
    const pids = daemon.pids()
    process.kill(pids.supervisor, 'SIGKILL')
    await until(() => !isAlive(pids.daemon) && !isAlive(pids.mountd))
    const mounted = mountsBelow(`${daemon.runtimeDir}/jobs/${job}`)
    expect(mounted.length).toBeGreaterThan(0)
    await daemon.start()
    const { workers } = await daemon.ok<Job>('GET', `/v1/jobs/${job}`)
    expect(workers.map(({ state }) => state)).toEqual(['mounted'])
    expect(mountsBelow(`${daemon.runtimeDir}/jobs/${job}`)).toEqual(mounted)
  })

  it('end in order at SIGHUP', async () => {
    await using daemon = await startDaemon()
    const pids = daemon.pids()
    process.kill(pids.supervisor, 'SIGHUP')
    await until(() => !isAlive(pids.supervisor))
    expect(isAlive(pids.daemon) || isAlive(pids.mountd)).toBe(false)
    await expect(daemon.start()).resolves.toBeUndefined()
    expect(daemon.output()).toContain('"msg":"stopping"')
  })
})
