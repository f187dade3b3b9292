import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { descriptor, openBeneath, READABLE_DIRECTORY } from '../../src/mount/descriptor.ts'
import { countLinks } from '../../src/mount/link-census.ts'
import { takeOverTree } from '../../src/mount/take-over-tree.ts'
import { startTimeSlice } from '../../src/mount/time-slice.ts'
import { mkdirat } from '../../src/os/linux.ts'
import { connect, type RunningHelper, startHelper, startHelperProcess } from './support/helper.ts'
import { makeWorld, mountsBelow, PEER, type World } from './support/world.ts'

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

/** A worker with an output, where its files can be made. */
async function mountOutput() {
  const ref = { job: randomUUID(), worker: 1 }
  const { outputPath: output = '' } = await helper.client.mountWorker({
    ...ref,
    views: [],
    output: {},
  })
  return { ref, output, staged: world.stagingPath(ref.job) }
}

async function handOver(ref: { job: string; worker: number }): Promise<void> {
  expect(await helper.client.handOverOutput(ref)).toEqual({
    handedOver: true,
    stagingName: `output.${ref.job}.1`,
  })
}

const ownerAndMode = (path: string) => {
  const { uid, gid, mode } = lstatSync(path)
  return { uid, gid, mode: (mode & 0o7777).toString(8) }
}
const peers = (mode: string) => ({ ...PEER, mode })

test('moves the tree into staging by one rename, unmounted, with nothing left behind', async () => {
  const { ref, output, staged } = await mountOutput()
  mkdirSync(`${output}/deep/er`, { recursive: true })
  writeFileSync(`${output}/deep/er/result`, 'bytes')
  const { ino } = statSync(`${output}/deep/er/result`)
  await handOver(ref)
  expect(readFileSync(`${staged}/deep/er/result`, 'utf8')).toBe('bytes')
  expect(statSync(`${staged}/deep/er/result`).ino).toBe(ino)
  expect(readdirSync(`${world.dataDir}/outputs`)).toEqual([])
  expect(mountsBelow(output)).toEqual([])
  expect(await helper.client.releaseWorker(ref)).toEqual({ released: true })
})

test('asked again it answers the same; without an output it says so', async () => {
  const { ref } = await mountOutput()
  await handOver(ref)
  await handOver(ref)
  await expect(
    helper.client.handOverOutput({ job: randomUUID(), worker: 1 }),
  ).rejects.toMatchObject({ code: 'not_found' })
})

test('makes everything the daemon’s: readable, executable as it was, without set-id bits', async () => {
  const { ref, output, staged } = await mountOutput()
  const cases = [
    ['plain', 0o644, '644'],
    ['closed', 0o000, '400'],
    ['program', 0o755, '755'],
    ['set-uid', 0o4755, '755'],
    ['set-gid', 0o2711, '711'],
    ['sticky', 0o1644, '644'],
    ['write-only', 0o222, '622'],
  ] as const
  for (const [name, mode] of cases) {
    writeFileSync(`${output}/${name}`, name)
    chownSync(`${output}/${name}`, 4000, 4000)
    chmodSync(`${output}/${name}`, mode)
  }
  mkdirSync(`${output}/shut`)
  writeFileSync(`${output}/shut/inner`, '')
  chmodSync(`${output}/shut`, 0o3000)
  chownSync(`${output}/shut`, 4000, 4000)
  await handOver(ref)
  for (const [name, , mode] of cases) expect(ownerAndMode(`${staged}/${name}`)).toEqual(peers(mode))
  expect(ownerAndMode(`${staged}/shut`)).toEqual(peers('700'))
  expect(ownerAndMode(`${staged}/shut/inner`)).toEqual(peers('644'))
  expect(ownerAndMode(staged)).toEqual(peers('777'))
})

test('the daemon’s user can read all of it and remove all of it', async () => {
  const { ref, output, staged } = await mountOutput()
  mkdirSync(`${output}/a/b`, { recursive: true })
  writeFileSync(`${output}/a/b/file`, 'x')
  symlinkSync('/etc/passwd', `${output}/a/link`)
  spawnSync('mkfifo', [`${output}/a/fifo`])
  spawnSync('mknod', [`${output}/a/null`, 'c', '1', '3'])
  chmodSync(`${output}/a/b`, 0)
  chmodSync(`${output}/a`, 0o1000)
  await handOver(ref)
  const as = (command: string) =>
    spawnSync(
      'setpriv',
      [`--reuid=${PEER.uid}`, `--regid=${PEER.gid}`, '--clear-groups', 'sh', '-c', command],
      {
        encoding: 'utf8',
      },
    )
  expect(as(`cat "${staged}/a/b/file"`)).toMatchObject({ stdout: 'x', status: 0 })
  expect(as(`rm -r "${staged}"`)).toMatchObject({ stderr: '', status: 0 })
})

describe('links', () => {
  test('a file with a name outside the tree is copied, and the outside stays as it was', async () => {
    const { ref, output, staged } = await mountOutput()
    const foreign = `${world.root}/shadow`
    writeFileSync(foreign, 'root:secret', { mode: 0o600 })
    linkSync(foreign, `${world.outputPath(ref.job)}/mine`)
    mkdirSync(`${output}/sub`)
    linkSync(foreign, `${world.outputPath(ref.job)}/sub/too`)
    await handOver(ref)
    expect(ownerAndMode(foreign)).toEqual({ uid: 0, gid: 0, mode: '600' })
    expect(statSync(foreign).nlink).toBe(1)
    expect(readFileSync(`${staged}/mine`, 'utf8')).toBe('root:secret')
    expect(ownerAndMode(`${staged}/mine`)).toEqual(peers('600'))
    expect(statSync(`${staged}/mine`).ino).not.toBe(statSync(foreign).ino)
    expect(statSync(`${staged}/mine`).ino).toBe(statSync(`${staged}/sub/too`).ino)
    expect(statSync(`${staged}/mine`).nlink).toBe(2)
  })

  test('a file whose names all lie in the tree is taken as it is', async () => {
    const { ref, output, staged } = await mountOutput()
    mkdirSync(`${output}/sub`)
    writeFileSync(`${output}/one`, 'x')
    linkSync(`${output}/one`, `${output}/sub/two`)
    linkSync(`${output}/one`, `${output}/three`)
    const { ino } = statSync(`${output}/one`)
    await handOver(ref)
    for (const name of ['one', 'sub/two', 'three'])
      expect(statSync(`${staged}/${name}`)).toMatchObject({ ino, nlink: 3, uid: PEER.uid })
  })

  test('a sparse file is copied as one', async () => {
    const { ref, output, staged } = await mountOutput()
    const foreign = `${world.root}/sparse`
    const fd = openSync(foreign, 'w')
    writeSync(fd, 'middle', 64 * 1024 * 1024)
    closeSync(fd)
    truncateSync(foreign, 8 * 1024 ** 3)
    linkSync(foreign, `${world.outputPath(ref.job)}/sparse`)
    expect(output).not.toBe('')
    await handOver(ref)
    const copy = statSync(`${staged}/sparse`)
    expect(copy.size).toBe(8 * 1024 ** 3)
    expect(copy.blocks * 512).toBeLessThan(1024 * 1024)
    const read = spawnSync('dd', [
      `if=${staged}/sparse`,
      'bs=1',
      `skip=${64 * 1024 * 1024}`,
      'count=6',
    ])
    expect(read.stdout.toString()).toBe('middle')
  })

  test('beyond what can be counted, every file with several names is copied once', async () => {
    const tree = `${world.root}/tree`
    mkdirSync(tree)
    for (let n = 0; n < 20; n++) {
      writeFileSync(`${tree}/${n}`, `${n}`)
      linkSync(`${tree}/${n}`, `${tree}/${n}-again`)
    }
    using beside = descriptor(openSync(world.root, 'r'))
    using root = openBeneath(beside.fd, 'tree', READABLE_DIRECTORY)
    const slice = startTimeSlice(new AbortController().signal)
    const census = await countLinks(root.fd, slice, 5)
    const counted = readdirSync(tree).filter((name) =>
      census.isOwn(statSync(`${tree}/${name}`, { bigint: true })),
    )
    expect(counted).toHaveLength(10)
    await takeOverTree(root.fd, PEER, { besideFd: beside.fd, copiesName: '.copies' }, slice, 5)
    for (let n = 0; n < 20; n++) {
      expect(readFileSync(`${tree}/${n}`, 'utf8')).toBe(`${n}`)
      expect(statSync(`${tree}/${n}`)).toMatchObject({ uid: PEER.uid, nlink: 2 })
      expect(statSync(`${tree}/${n}`).ino).toBe(statSync(`${tree}/${n}-again`).ino)
    }
  })
})

describe('what is no file', () => {
  test('symbolic links are not followed, and become the daemon’s', async () => {
    const { ref, output, staged } = await mountOutput()
    const outside = `${world.root}/outside`
    mkdirSync(outside)
    writeFileSync(`${outside}/file`, '', { mode: 0o600 })
    symlinkSync(outside, `${output}/directory`)
    symlinkSync(`${outside}/file`, `${output}/file`)
    symlinkSync('dangling', `${output}/nowhere`)
    await handOver(ref)
    expect(ownerAndMode(outside)).toMatchObject({ uid: 0, gid: 0 })
    expect(ownerAndMode(`${outside}/file`)).toEqual({ uid: 0, gid: 0, mode: '600' })
    for (const name of ['directory', 'file', 'nowhere'])
      expect(lstatSync(`${staged}/${name}`)).toMatchObject({ uid: PEER.uid })
  })

  test('FIFOs and sockets become the daemon’s without being opened', async () => {
    const { ref, output, staged } = await mountOutput()
    expect(spawnSync('mkfifo', ['-m', '644', `${output}/fifo`]).status).toBe(0)
    const bind = 'import socket,sys; socket.socket(socket.AF_UNIX).bind("socket")'
    expect(spawnSync('python3', ['-c', bind], { cwd: output }).status).toBe(0)
    await handOver(ref)
    expect(lstatSync(`${staged}/fifo`)).toMatchObject({ uid: PEER.uid })
    expect(lstatSync(`${staged}/fifo`).isFIFO()).toBe(true)
    expect(lstatSync(`${staged}/socket`)).toMatchObject({ uid: PEER.uid })
    expect(lstatSync(`${staged}/socket`).isSocket()).toBe(true)
  })

  test('a device is never given to the daemon, nor left open to it', async () => {
    const { ref, output, staged } = await mountOutput()
    expect(spawnSync('mknod', ['-m', '666', `${output}/disk`, 'b', '7', '99']).status).toBe(0)
    chownSync(`${output}/disk`, PEER.uid, PEER.gid)
    await handOver(ref)
    expect(lstatSync(`${staged}/disk`).isBlockDevice()).toBe(true)
    expect(ownerAndMode(`${staged}/disk`)).toEqual({ uid: 0, gid: 0, mode: '0' })
  })

  test('something mounted in the output directory stops the hand-over, and is named', async () => {
    const { ref, output } = await mountOutput()
    mkdirSync(`${output}/inner`)
    const inner = `${world.outputPath(ref.job)}/inner`
    expect(spawnSync('mount', ['-t', 'tmpfs', 'none', inner]).status).toBe(0)
    await expect(helper.client.handOverOutput(ref)).rejects.toMatchObject({ code: 'mount_busy' })
    expect(statSync(inner).uid).toBe(0)
    expect(spawnSync('umount', [inner]).status).toBe(0)
    await handOver(ref)
  })
})

test('immutable and append-only entries do not stop it', async () => {
  const { ref, output, staged } = await mountOutput()
  mkdirSync(`${output}/directory`)
  writeFileSync(`${output}/directory/file`, 'x')
  writeFileSync(`${output}/log`, 'x')
  const chattr = spawnSync('sh', ['-c', 'chattr +a log && chattr +i directory/file directory'], {
    cwd: output,
    encoding: 'utf8',
  })
  expect(chattr.stderr).toBe('')
  await handOver(ref)
  for (const name of ['directory', 'directory/file', 'log'])
    expect(ownerAndMode(`${staged}/${name}`)).toMatchObject(PEER)
})

test('names that are not UTF-8 are taken over byte for byte', async () => {
  const { ref, output, staged } = await mountOutput()
  const odd = Buffer.from([0x6e, 0xff, 0xfe, 0x0a, 0x20])
  const at = (base: string) => Buffer.concat([Buffer.from(`${base}/`), odd])
  mkdirSync(at(output))
  writeFileSync(Buffer.concat([at(output), Buffer.from('/'), odd]), 'x')
  await handOver(ref)
  expect(readdirSync(staged, { encoding: 'buffer' })).toEqual([odd])
  expect(statSync(Buffer.concat([at(staged), Buffer.from('/'), odd]))).toMatchObject({
    uid: PEER.uid,
  })
})

test('a tree deeper than a path may be long, and than descriptors there are', async () => {
  const { ref, output, staged } = await mountOutput()
  const depth = 3000
  makeDeep(output, depth)
  await handOver(ref)
  const count = spawnSync('sh', ['-c', `find . -uid ${PEER.uid} -type d | wc -l`], { cwd: staged })
  expect(Number(count.stdout.toString())).toBe(depth + 1)
  expect(spawnSync('rm', ['-r', staged]).status).toBe(0)
})

function makeDeep(path: string, depth: number): void {
  let at = descriptor(openSync(path, 'r'))
  for (let n = 0; n < depth; n++) {
    mkdirat(at.fd, 'ab', 0o755)
    const next = openBeneath(at.fd, 'ab', READABLE_DIRECTORY)
    at[Symbol.dispose]()
    at = next
  }
  at[Symbol.dispose]()
}

test('waits for whoever has the output open or mounted, and names it', async () => {
  const { ref, output } = await mountOutput()
  const fd = openSync(`${output}/log`, 'w')
  expect(await helper.client.handOverOutput(ref)).toEqual({
    handedOver: false,
    holders: [{ pid: process.pid, command: expect.any(String) as string, path: `${output}/log` }],
  })
  expect(statSync(`${world.outputPath(ref.job)}/log`).uid).toBe(0)
  closeSync(fd)
  await handOver(ref)
})

test('leaves the checkpoint of the worker mounted', async () => {
  const ref = { job: randomUUID(), worker: 1 }
  const { checkpointPath } = await helper.client.mountWorker({
    ...ref,
    views: [{ view: world.view('a'), directory: '' }],
    output: {},
  })
  await handOver(ref)
  expect(readFileSync(`${checkpointPath}/weights`, 'utf8')).toBe('a')
  expect(await helper.client.releaseWorker(ref)).toEqual({ released: true })
})

test('mounts go on while an output of 20,000 files is handed over', async () => {
  await helper[Symbol.asyncDispose]()
  {
    await using running = await startHelperProcess(world)
    const client = await connect(world)
    const ref = { job: randomUUID(), worker: 1 }
    const { outputPath: output } = await client.mountWorker({ ...ref, views: [], output: {} })
    for (let n = 0; n < 20_000; n++) {
      if (n % 1000 === 0) mkdirSync(`${output}/${n / 1000}`)
      writeFileSync(`${output}/${Math.floor(n / 1000)}/${n}`, '')
    }
    const views = [{ view: world.view('a'), directory: '' }]
    const done = new AbortController()
    const handingOver = client.handOverOutput(ref).finally(() => done.abort())
    let mounted = 0
    while (!done.signal.aborted) {
      await client.mountWorker({ job: randomUUID(), worker: 1, views })
      mounted += 1
    }
    expect(await handingOver).toMatchObject({ handedOver: true })
    await client[Symbol.asyncDispose]()
    expect(running.child.exitCode).toBeNull()
    expect(mounted).toBeGreaterThan(20)
    const last = `${world.stagingPath(ref.job)}/19/19999`
    expect(statSync(last)).toMatchObject({ uid: PEER.uid })
  }
  helper = await startHelper(world)
})

describe('discarding an output', () => {
  test('deletes it, whatever it holds, and nothing outside it', async () => {
    const { ref, output } = await mountOutput()
    const outside = `${world.root}/outside`
    mkdirSync(outside)
    writeFileSync(`${outside}/file`, 'kept')
    symlinkSync(outside, `${output}/link`)
    makeDeep(output, 3000)
    spawnSync('mkfifo', [`${output}/fifo`])
    writeFileSync(`${output}/large`, '')
    truncateSync(`${output}/large`, 200 * 1024 * 1024)
    mkdirSync(`${output}/locked`)
    writeFileSync(`${output}/locked/file`, '')
    spawnSync('chattr', ['+i', `${output}/locked/file`, `${output}/locked`])
    mkdirSync(`${output}/many`)
    for (let n = 0; n < 3000; n++) mkdirSync(`${output}/many/${n}`)
    expect(await helper.client.discardOutput(ref)).toEqual({ discarded: true })
    expect(readdirSync(`${world.dataDir}/outputs`)).toEqual([])
    expect(readFileSync(`${outside}/file`, 'utf8')).toBe('kept')
    expect(await helper.client.discardOutput(ref)).toEqual({ discarded: true })
  })

  test('waits for whoever has it open', async () => {
    const { ref, output } = await mountOutput()
    const fd = openSync(`${output}/log`, 'w')
    expect(await helper.client.discardOutput(ref)).toMatchObject({
      discarded: false,
      holders: [{ pid: process.pid }],
    })
    closeSync(fd)
    expect(await helper.client.discardOutput(ref)).toEqual({ discarded: true })
  })
})
