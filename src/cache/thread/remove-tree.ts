import { randomBytes } from 'node:crypto'
import { chmod, lstat, opendir, rename, rmdir, unlink } from 'node:fs/promises'
import { isErrno } from '../../os/errno.ts'

/**
 * Removes a tree of the store's own (a view, staging, an output that was handed over), whatever
 * the modes of its directories, without following links. Never more than two levels deep: the
 * directories inside a directory are first moved up beside it, so neither depth nor size costs
 * memory, and no path gets longer than the system takes. Names are bytes: a worker's output may
 * hold names that are not UTF-8. A missing tree is fine.
 */
export async function removeTree(path: string): Promise<void> {
  const root = Buffer.from(path)
  await unlessGone(async () => {
    if (!(await lstat(root)).isDirectory()) return unlink(root)
    await chmod(root, 0o700)
    const moveUp = mover(root)
    // A directory that changes while it is read may hide entries: read again until it is empty.
    for (let empty = false; !empty; ) {
      empty = true
      for await (const { child, isDirectory } of children(root)) {
        empty = false
        // What somebody else removed meanwhile is fine, and says nothing of the rest.
        await unlessGone(() => (isDirectory ? removeDirectory(child, moveUp) : unlink(child)))
      }
    }
    await rmdir(root)
  })
}

/** Removes a directory but for those inside it, which are moved up. */
async function removeDirectory(
  directory: Buffer,
  moveUp: (inner: Buffer) => Promise<void>,
): Promise<void> {
  await chmod(directory, 0o700)
  for await (const { child, isDirectory } of children(directory))
    await (isDirectory ? moveUp(child) : unlink(child))
  // Not empty where reading missed something: the next round sees it again.
  await rmdir(directory).catch((error: unknown) => {
    if (!isErrno(error, 'ENOTEMPTY')) throw error
  })
}

function mover(root: Buffer): (inner: Buffer) => Promise<void> {
  const prefix = `.removing-${randomBytes(8).toString('hex')}-`
  let moved = 0
  return async (inner) => {
    await chmod(inner, 0o700)
    await rename(inner, join(root, Buffer.from(`${prefix}${moved++}`)))
  }
}

async function unlessGone(remove: () => Promise<void>): Promise<void> {
  try {
    await remove()
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error
  }
}

async function* children(
  directory: Buffer,
): AsyncGenerator<{ child: Buffer; isDirectory: boolean }> {
  const reader = await opendir(directory, { encoding: 'buffer' as BufferEncoding })
  for await (const entry of reader)
    yield {
      child: join(directory, entry.name as unknown as Buffer),
      isDirectory: entry.isDirectory(),
    }
}

function join(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, Buffer.from('/'), name])
}
