import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type RunningHelper, startHelper } from './support/helper.ts'
import { makeWorld, mountsBelow, type World } from './support/world.ts'

let world: World
let helper: RunningHelper
beforeEach(async () => {
  world = makeWorld()
  helper = await startHelper(world)
})
afterEach(async () => {
  try {
    await helper[Symbol.asyncDispose]()
  } finally {
    world[Symbol.dispose]()
  }
})

const only = (view: string) => [{ view, directory: '' }]

async function mountOne(view: string): Promise<string> {
  const { checkpointPath } = await helper.client.mountWorker({
    job: randomUUID(),
    worker: 1,
    views: only(view),
  })
  return checkpointPath ?? ''
}

describe('a single checkpoint', () => {
  test('is the view itself, the same inodes and the same page cache', async () => {
    const view = world.view('a', { 'deep/weights': 'bytes' })
    const path = await mountOne(view)
    expect(readFileSync(`${path}/deep/weights`, 'utf8')).toBe('bytes')
    expect(statSync(`${path}/deep/weights`).ino).toBe(
      statSync(`${world.viewPath(view)}/deep/weights`).ino,
    )
  })

  test('is read-only, nosuid and nodev, and the place above it is closed to all but root', async () => {
    const path = await mountOne(world.view('a'))
    const [mount] = mountsBelow(path)
    expect(mount?.options).toEqual(expect.arrayContaining(['ro', 'nosuid', 'nodev']))
    const jobs = `${world.runtimeDir}/jobs`
    expect(statSync(jobs)).toMatchObject({ uid: 0 })
    expect(statSync(jobs).mode & 0o7777).toBe(0o700)
    expect(mountsBelow(jobs)[0]?.options).toEqual(
      expect.arrayContaining(['nosuid', 'nodev', 'noexec']),
    )
    expect(mountsBelow(jobs)[0]?.propagation.join()).toMatch(/^shared:/)
  })

  test('cannot be written by root: no write, no new file, no rename, no mode, no owner', async () => {
    const path = await mountOne(world.view('a'))
    for (const command of [
      'echo x > weights',
      'echo x > new',
      'mv weights other',
      'rm weights',
      'chmod 777 weights',
      'chown 1 weights',
      'touch weights',
      'ln weights second',
    ]) {
      const { status, stderr } = spawnSync('sh', ['-c', command], { cwd: path, encoding: 'utf8' })
      expect(status, command).not.toBe(0)
      expect(stderr, command).toMatch(/Read-only file system/)
    }
  })

  test('cannot be remounted writable by root of a container: without the right, or in a user namespace', async () => {
    const path = await mountOne(world.view('a'))
    const remount = `mount -o remount,bind,rw "${path}" && echo x > "${path}/weights"`
    const bound = `${world.root}/bound`
    mkdirSync(bound)
    const rebind = `mount --bind "${path}" "${bound}" && echo x > "${bound}/weights"`
    const rebound = `mount --bind "${path}" "${bound}" && mount -o remount,bind,rw "${bound}" && echo x > "${bound}/weights"`
    for (const command of [remount, rebind, rebound]) {
      const inUserNamespace = spawnSync(
        'unshare',
        ['--user', '--map-root-user', '--mount', 'sh', '-c', command],
        { encoding: 'utf8' },
      )
      expect(inUserNamespace.status, inUserNamespace.stderr).not.toBe(0)
    }
    const withoutRight = spawnSync(
      'unshare',
      ['--mount', 'setpriv', '--bounding-set=-sys_admin', '--inh-caps=-all', 'sh', '-c', remount],
      { encoding: 'utf8' },
    )
    expect(withoutRight.status).not.toBe(0)
    expect(readFileSync(`${path}/weights`, 'utf8')).toBe('a')
  })

  test('stays read-only where a container binds it once more', async () => {
    const path = await mountOne(world.view('a'))
    const bound = `${world.root}/bound`
    mkdirSync(bound)
    const { status, stderr } = spawnSync(
      'unshare',
      ['--mount', 'sh', '-c', `mount --rbind "${path}" "${bound}" && echo x > "${bound}/weights"`],
      { encoding: 'utf8' },
    )
    expect(status).not.toBe(0)
    expect(stderr).toMatch(/Read-only file system/)
  })

  test('shows nothing that is mounted below the view at its origin', async () => {
    const view = world.view('a', { 'inner/file': 'x' })
    const inner = `${world.viewPath(view)}/inner`
    expect(spawnSync('mount', ['-t', 'tmpfs', 'none', inner]).status).toBe(0)
    const path = await mountOne(view)
    expect(readdirSync(`${path}/inner`)).toEqual(['file'])
    expect(spawnSync('umount', [inner]).status).toBe(0)
    expect(spawnSync('mount', ['-t', 'tmpfs', 'none', inner]).status).toBe(0)
    expect(readdirSync(`${path}/inner`)).toEqual(['file'])
  })

  test('may come from a project’s own sharing domain', async () => {
    const path = await mountOne(world.view('c', { weights: 'own' }, 'project-Team_1.x'))
    expect(readFileSync(`${path}/weights`, 'utf8')).toBe('own')
  })
})

describe('several checkpoints', () => {
  test('stand side by side below a parent that is read-only, too', async () => {
    const { checkpointPath: path = '' } = await helper.client.mountWorker({
      job: randomUUID(),
      worker: 3,
      views: [
        { view: world.view('a'), directory: 'base model' },
        { view: world.view('b'), directory: 'Übung\\040' },
        { view: world.view('a'), directory: 'base again' },
      ],
    })
    expect(readdirSync(path).sort()).toEqual(['base again', 'base model', 'Übung\\040'])
    expect(readFileSync(`${path}/base model/weights`, 'utf8')).toBe('a')
    expect(readFileSync(`${path}/Übung\\040/weights`, 'utf8')).toBe('b')
    for (const place of [path, `${path}/base model`, `${path}/Übung\\040`])
      expect(() => mkdirSync(`${place}/new`)).toThrow(/EROFS/)
    expect(statSync(path).mode & 0o7777).toBe(0o755)
    const mounts = mountsBelow(path)
    expect(mounts).toHaveLength(4)
    for (const { options } of mounts)
      expect(options).toEqual(expect.arrayContaining(['ro', 'nosuid', 'nodev']))
    expect(mountsBelow(path.replace(/checkpoint$/, 'parts'))).toEqual([])
  })

  test('are listed by the names of their views and directories', async () => {
    const job = randomUUID()
    const views = [
      { view: world.view('a'), directory: 'one two' },
      { view: world.view('b', {}, 'project-p'), directory: 'ö\\#' },
    ]
    await helper.client.mountWorker({ job, worker: 1, views })
    const { workers } = await helper.client.list({})
    expect(workers).toEqual([{ job, worker: 1, views, output: false, releasing: false }])
  })

  test('are undone as a set when one of them does not exist', async () => {
    const job = randomUUID()
    const mounting = helper.client.mountWorker({
      job,
      worker: 1,
      views: [
        { view: world.view('a'), directory: 'first' },
        { view: `host/${'f'.repeat(64)}.1`, directory: 'second' },
      ],
      output: {},
    })
    await expect(mounting).rejects.toMatchObject({ code: 'not_found' })
    expect(readdirSync(`${world.runtimeDir}/jobs`)).toEqual([])
    expect(mountsBelow(`${world.runtimeDir}/jobs`)).toHaveLength(1)
    expect(existsSync(world.outputPath(job))).toBe(false)
  })
})

describe('an output', () => {
  test('is a directory of root’s, writable by anybody, nosuid and nodev', async () => {
    const job = randomUUID()
    const umask = process.umask(0o077)
    try {
      const { outputPath = '', checkpointPath } = await helper.client.mountWorker({
        job,
        worker: 1,
        views: [],
        output: {},
      })
      expect(checkpointPath).toBeUndefined()
      expect(statSync(outputPath).mode & 0o7777).toBe(0o777)
      const [mount] = mountsBelow(outputPath)
      expect(mount?.options).toEqual(expect.arrayContaining(['rw', 'nosuid', 'nodev']))
      writeFileSync(`${outputPath}/result`, 'done')
      expect(readFileSync(`${world.outputPath(job)}/result`, 'utf8')).toBe('done')
      expect(statSync(`${world.dataDir}/outputs`)).toMatchObject({ uid: 0 })
      expect(statSync(`${world.dataDir}/outputs`).mode & 0o066).toBe(0)
    } finally {
      process.umask(umask)
    }
  })

  test('belongs to the user named for it', async () => {
    const { outputPath = '' } = await helper.client.mountWorker({
      job: randomUUID(),
      worker: 1,
      views: [],
      output: { owner: { uid: 4_294_967_294, gid: 5001 } },
    })
    expect(statSync(outputPath)).toMatchObject({ uid: 4_294_967_294, gid: 5001 })
    expect(statSync(outputPath).mode & 0o7777).toBe(0o755)
  })

  test('that was there before a reboot is taken up again with what it holds', async () => {
    const request = { job: randomUUID(), worker: 1, views: [], output: {} }
    const { outputPath = '' } = await helper.client.mountWorker(request)
    writeFileSync(`${outputPath}/result`, 'kept')
    await helper.client.releaseWorker({ job: request.job, worker: 1 })
    await helper.client.mountWorker(request)
    expect(readFileSync(`${outputPath}/result`, 'utf8')).toBe('kept')
  })
})

describe('asked again', () => {
  test('for the same, it answers the same and mounts nothing', async () => {
    const job = randomUUID()
    const requests = [
      { job, worker: 1, views: only(world.view('a')), output: {} },
      { job, worker: 2, views: [{ view: world.view('a'), directory: 'x' }] },
      { job, worker: 3, views: [], output: {} },
    ]
    for (const request of requests) {
      const first = await helper.client.mountWorker(request)
      const before = mountsBelow(world.runtimeDir)
      expect(await helper.client.mountWorker(request)).toEqual(first)
      expect(mountsBelow(world.runtimeDir)).toEqual(before)
    }
  })

  test('for anything else, it refuses and changes nothing', async () => {
    const job = randomUUID()
    const [a, b] = [world.view('a'), world.view('b')]
    await helper.client.mountWorker({ job, worker: 1, views: only(a) })
    const before = mountsBelow(world.runtimeDir)
    for (const other of [
      { views: only(b) },
      { views: only(a), output: {} },
      { views: [{ view: a, directory: 'a' }] },
      { views: [], output: {} },
    ])
      await expect(helper.client.mountWorker({ job, worker: 1, ...other })).rejects.toMatchObject({
        code: 'conflict',
      })
    expect(mountsBelow(world.runtimeDir)).toEqual(before)
  })
})
