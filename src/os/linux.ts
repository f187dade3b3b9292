import { constants } from 'node:os'
import koffi from 'koffi'
import { CkptdError } from '../model/errors.ts'

/**
 * The Linux calls that Node.js has no function for, through FFI on glibc. Numbers are those of
 * the kernel's generic table (the same on x86-64 and arm64 for every call used here).
 * Failures throw an `Error` shaped as Node's own: `code`, `errno` (negative), `syscall`.
 */
const libc = koffi.load('libc.so.6')

export const AT_EMPTY_PATH = 0x1000
const AT_RECURSIVE = 0x8000

const OPEN_TREE_CLONE = 1
const OPEN_TREE_CLOEXEC = 0o2000000
const MOVE_MOUNT_F_EMPTY_PATH = 0x4
const MOVE_MOUNT_T_EMPTY_PATH = 0x40

export const MOUNT_ATTR_RDONLY = 0x1
export const MOUNT_ATTR_NOSUID = 0x2
export const MOUNT_ATTR_NODEV = 0x4

export const ST_RDONLY = 0x1
export const ST_NOSUID = 0x2
export const ST_NODEV = 0x4

export const RESOLVE_NO_XDEV = 0x1
export const RESOLVE_NO_MAGICLINKS = 0x2
export const RESOLVE_NO_SYMLINKS = 0x4
export const RESOLVE_BENEATH = 0x8

export const MS_NOSUID = 0x2
export const MS_NODEV = 0x4
export const MS_NOEXEC = 0x8
export const MS_SHARED = 1 << 20
export const MS_PRIVATE = 1 << 18

export const O_PATH = 0o10000000
export const O_CLOEXEC = 0o2000000

const UMOUNT_NOFOLLOW = 0x8

const SYS = { open_tree: 428, move_mount: 429, openat2: 437, mount_setattr: 442 } as const

const openat2Call = libc.func('long syscall(long n, int fd, str path, void *how, size_t size)')
const openTreeCall = libc.func('long syscall(long n, int fd, str path, uint flags)')
const mountSetattrCall = libc.func(
  'long syscall(long n, int fd, str path, uint flags, void *attr, size_t size)',
)
const moveMountCall = libc.func('long syscall(long n, int from, str a, int to, str b, uint flags)')
const mountCall = libc.func('int mount(str source, str target, str type, ulong flags, str data)')
const umount2 = libc.func('int umount2(str target, int flags)')
const fstatfsCall = libc.func('int fstatfs(int fd, void *buf)')
const syncfsCall = libc.func('int syncfs(int fd)')
const syncFileRange = libc.func(
  'int sync_file_range(int fd, int64_t offset, int64_t count, uint flags)',
)
const fallocateCall = libc.func('int fallocate(int fd, int mode, int64_t offset, int64_t count)')
const flockCall = libc.func('int flock(int fd, int operation)')
const fcntlCall = libc.func('int fcntl(int fd, int command, long argument)')
const posixFadvise = libc.func(
  'int posix_fadvise(int fd, int64_t offset, int64_t count, int advice)',
)
const mkdiratCall = libc.func('int mkdirat(int fd, str path, uint mode)')
const unlinkatCall = libc.func('int unlinkat(int fd, str path, int flags)')
const renameat2Call = libc.func('int renameat2(int from, str a, int to, str b, uint flags)')
const flistxattrCall = libc.func('long flistxattr(int fd, void *list, size_t size)')
const socketCall = libc.func('int socket(int domain, int type, int protocol)')
const bindCall = libc.func('int bind(int fd, void *address, uint length)')
const listenCall = libc.func('int listen(int fd, int backlog)')
const sendtoCall = libc.func(
  'long sendto(int fd, void *data, size_t size, int flags, void *address, uint length)',
)
const getsockoptCall = libc.func(
  'int getsockopt(int fd, int level, int name, void *value, _Inout_ uint *length)',
)

const NAME_BY_ERRNO = new Map(Object.entries(constants.errno).map(([name, n]) => [n, name]))

/** The error codes that Node's own functions report by number only. */
const EXTRA_ERRNO = new Map([
  [122, 'EDQUOT'],
  [116, 'ESTALE'],
])

/** The symbolic name of a failure's errno ("ENOSPC", "EDQUOT", …) or undefined. */
export function errnoName(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const { errno, code } = error as NodeJS.ErrnoException
  // libuv does not know EDQUOT: its code reads "Unknown system error -122".
  if (typeof errno === 'number' && EXTRA_ERRNO.has(-errno)) return EXTRA_ERRNO.get(-errno)
  return code
}

function check(result: number | bigint, syscall: string, subject: string): number {
  const value = Number(result)
  if (value >= 0) return value
  const errno = koffi.errno()
  const code = NAME_BY_ERRNO.get(errno) ?? EXTRA_ERRNO.get(errno) ?? `E${errno}`
  const error: NodeJS.ErrnoException = new Error(`${code}: ${syscall} ${subject}`)
  error.errno = -errno
  error.code = code
  error.syscall = syscall
  throw error
}

/** A name as text, or as the bytes a directory holds (any but "/" and NUL), ended by a NUL. */
export type FileName = string | Buffer

/** Opens `path` relative to a directory descriptor under `resolve` rules; returns a descriptor. */
export function openat2(
  directoryFd: number,
  path: FileName,
  options: { flags: number; mode?: number; resolve: number },
): number {
  const how = Buffer.alloc(24)
  how.writeBigUInt64LE(BigInt(options.flags | O_CLOEXEC), 0)
  how.writeBigUInt64LE(BigInt(options.mode ?? 0), 8)
  how.writeBigUInt64LE(BigInt(options.resolve), 16)
  return check(
    openat2Call(SYS.openat2, directoryFd, path, how, how.length),
    'openat2',
    String(path),
  )
}

/** A detached copy of the mount subtree at an open descriptor; returns its descriptor. */
export function openTreeClone(fd: number, options: { recursive?: boolean } = {}): number {
  const flags =
    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (options.recursive ? AT_RECURSIVE : 0)
  return check(openTreeCall(SYS.open_tree, fd, '', flags), 'open_tree', `fd ${fd}`)
}

/** Sets attributes (and optionally the propagation type) on a mount given by descriptor. */
export function mountSetattr(
  fd: number,
  options: { set: number; propagation?: number; recursive?: boolean },
): void {
  const attr = Buffer.alloc(32)
  attr.writeBigUInt64LE(BigInt(options.set), 0)
  attr.writeBigUInt64LE(BigInt(options.propagation ?? 0), 16)
  const flags = AT_EMPTY_PATH | (options.recursive ? AT_RECURSIVE : 0)
  check(
    mountSetattrCall(SYS.mount_setattr, fd, '', flags, attr, attr.length),
    'mount_setattr',
    `fd ${fd}`,
  )
}

/** Attaches a detached mount at an open directory. */
export function moveMount(mountFd: number, targetFd: number): void {
  const flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
  check(
    moveMountCall(SYS.move_mount, mountFd, '', targetFd, '', flags),
    'move_mount',
    `fd ${targetFd}`,
  )
}

export function mount(
  source: string,
  target: string,
  type: string,
  flags: number,
  data: string,
): void {
  check(mountCall(source, target, type, flags, data), 'mount', target)
}

/** A plain unmount, never lazy, that does not follow a final link. */
export function unmount(target: string): void {
  check(umount2(target, UMOUNT_NOFOLLOW), 'umount2', target)
}

/** Flags (`ST_…`) of the mount that a descriptor lies on. */
export function mountFlags(fd: number): number {
  const buffer = Buffer.alloc(256)
  check(fstatfsCall(fd, buffer), 'fstatfs', `fd ${fd}`)
  // struct statfs: type, bsize, blocks, bfree, bavail, files, ffree (8 bytes each), fsid (8),
  // namelen, frsize, flags (8 each).
  return Number(buffer.readBigUInt64LE(80))
}

/** Flushes the whole filesystem below a descriptor, and reports write-back errors since its open. */
export function syncfs(fd: number): void {
  check(syncfsCall(fd), 'syncfs', `fd ${fd}`)
}

/** Starts write-back of a range without waiting; a hint, no durability. `0` length: to the end. */
export function startWriteback(fd: number, offset: number, count: number): void {
  const SYNC_FILE_RANGE_WRITE = 2
  check(syncFileRange(fd, offset, count, SYNC_FILE_RANGE_WRITE), 'sync_file_range', `fd ${fd}`)
}

/** Gives the blocks of a range back to the filesystem; it reads as zeros, the size stays. */
export function punchHole(fd: number, offset: number, count: number): void {
  const FALLOC_FL_KEEP_SIZE = 1
  const FALLOC_FL_PUNCH_HOLE = 2
  const result: number = fallocateCall(
    fd,
    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
    offset,
    count,
  )
  check(result, 'fallocate(FALLOC_FL_PUNCH_HOLE)', `fd ${fd}`)
}

/** Takes the exclusive advisory lock of an open file; false where somebody else holds it. */
export function tryLockFile(fd: number): boolean {
  const LOCK_EX = 2
  const LOCK_NB = 4
  if (flockCall(fd, LOCK_EX | LOCK_NB) === 0) return true
  if (koffi.errno() === constants.errno.EWOULDBLOCK) return false
  check(-1, 'flock', `fd ${fd}`)
  return false
}

/**
 * Takes a read lease on a file that this process owns and has open for reading; false where
 * somebody has it open for writing. Held until the descriptor is closed.
 */
export function tryReadLease(fd: number): boolean {
  const F_SETLEASE = 1024
  const F_RDLCK = 0
  if (fcntlCall(fd, F_SETLEASE, F_RDLCK) === 0) return true
  if (koffi.errno() === constants.errno.EAGAIN) return false
  check(-1, 'fcntl(F_SETLEASE)', `fd ${fd}`)
  return false
}

/** Tells the kernel that a range will not be read again soon (trap: scrubs evict hot models). */
export function dropFromPageCache(fd: number, offset: number, count: number): void {
  const POSIX_FADV_DONTNEED = 4
  posixFadvise(fd, offset, count, POSIX_FADV_DONTNEED)
}

export function mkdirat(directoryFd: number, name: string, mode: number): void {
  check(mkdiratCall(directoryFd, name, mode), 'mkdirat', name)
}

export function unlinkat(
  directoryFd: number,
  name: FileName,
  options: { directory: boolean },
): void {
  const AT_REMOVEDIR = 0x200
  check(
    unlinkatCall(directoryFd, name, options.directory ? AT_REMOVEDIR : 0),
    'unlinkat',
    String(name),
  )
}

/** Renames between two open directories and never replaces what is there. */
export function renameNoReplace(fromFd: number, from: string, toFd: number, to: string): void {
  const RENAME_NOREPLACE = 1
  check(renameat2Call(fromFd, from, toFd, to, RENAME_NOREPLACE), 'renameat2', to)
}

/** Whether an open file carries extended attributes (ACLs and capabilities among them). */
export function hasExtendedAttributes(fd: number): boolean {
  const result = Number(flistxattrCall(fd, null, 0))
  if (result < 0 && koffi.errno() === constants.errno.EOPNOTSUPP) return false
  return check(result, 'flistxattr', `fd ${fd}`) > 0
}

const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000

function unixAddress(path: string): Buffer {
  const name = path.startsWith('@') ? `\0${path.slice(1)}` : `${path}\0`
  const address = Buffer.concat([Buffer.from([AF_UNIX, 0]), Buffer.from(name)])
  if (address.length > 110)
    throw new CkptdError(
      'invalid_config',
      `the path of a socket has at most 107 bytes and ${path} has ${address.length - 3}; name a shorter directory`,
    )
  return address
}

/** A listening stream socket at a path that must not exist yet; returns its descriptor. */
export function listenUnix(path: string, backlog: number): number {
  const address = unixAddress(path)
  const fd = check(socketCall(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), 'socket', path)
  check(bindCall(fd, address, address.length), 'bind', path)
  check(listenCall(fd, backlog), 'listen', path)
  return fd
}

/** Sends one datagram to a unix socket (the systemd notify protocol; "@" marks an abstract name). */
export function sendDatagram(path: string, text: string): void {
  const fd = check(socketCall(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket', path)
  try {
    const address = unixAddress(path)
    const length = path.startsWith('@') ? address.length : address.length - 1
    const data = Buffer.from(text)
    check(sendtoCall(fd, data, data.length, 0, address, length), 'sendto', path)
  } finally {
    closeCall(fd)
  }
}
const closeCall = libc.func('int close(int fd)')

/** Who is at the other end of a connected unix socket (SO_PEERCRED). */
export function peerCredentials(fd: number): { pid: number; uid: number; gid: number } {
  const SOL_SOCKET = 1
  const SO_PEERCRED = 17
  const value = Buffer.alloc(12)
  check(getsockoptCall(fd, SOL_SOCKET, SO_PEERCRED, value, [12]), 'getsockopt', 'SO_PEERCRED')
  return { pid: value.readInt32LE(0), uid: value.readUInt32LE(4), gid: value.readUInt32LE(8) }
}

const linkatCall = libc.func('int linkat(int from, str a, int to, str b, int flags)')
const fchownatCall = libc.func('int fchownat(int fd, str path, uint uid, uint gid, int flags)')
const getdents64Call = libc.func('long getdents64(int fd, void *buffer, size_t size)')
const lseekCall = libc.func('int64_t lseek(int fd, int64_t offset, int whence)')
const ioctlCall = libc.func('int ioctl(int fd, ulong request, void *value)')

/** Renames between two open directories; what is there is replaced in the same instant. */
export function renameReplacing(fromFd: number, from: FileName, toFd: number, to: FileName): void {
  check(renameat2Call(fromFd, from, toFd, to, 0), 'renameat2', String(to))
}

/** A second name for a file; a final link is not followed. */
export function linkat(fromFd: number, from: FileName, toFd: number, to: FileName): void {
  check(linkatCall(fromFd, from, toFd, to, 0), 'linkat', String(to))
}

/** Changes the owner of exactly the inode at a descriptor: O_PATH will do, a link is not followed. */
export function chownByDescriptor(fd: number, uid: number, gid: number): void {
  check(fchownatCall(fd, '', uid, gid, AT_EMPTY_PATH), 'fchownat', `fd ${fd}`)
}

/** Fills `buffer` with `struct linux_dirent64` records; returns the bytes used, 0 at the end. */
export function readDirectoryRecords(fd: number, buffer: Buffer): number {
  return check(getdents64Call(fd, buffer, buffer.length), 'getdents64', `fd ${fd}`)
}

/** Continues reading a directory after the record whose `d_off` is `position`; 0n: from its start. */
export function seekDirectory(fd: number, position: bigint): void {
  const SEEK_SET = 0
  const result: number | bigint = lseekCall(fd, position, SEEK_SET)
  if (result < 0) check(-1, 'lseek', `fd ${fd}`)
}

/** The next range of a file at or after `offset` that holds data, in bytes; undefined: none. */
export function findData(fd: number, offset: number): { start: number; end: number } | undefined {
  const SEEK_DATA = 3
  const SEEK_HOLE = 4
  const start = Number(lseekCall(fd, offset, SEEK_DATA))
  if (start < 0 && koffi.errno() === constants.errno.ENXIO) return undefined
  check(start, 'lseek(SEEK_DATA)', `fd ${fd}`)
  return { start, end: check(lseekCall(fd, start, SEEK_HOLE), 'lseek(SEEK_HOLE)', `fd ${fd}`) }
}

/** Takes "immutable" and "append only" off an open file or directory; false where it had neither. */
export function clearProtection(fd: number): boolean {
  const FS_IOC_GETFLAGS = 0x80086601
  const FS_IOC_SETFLAGS = 0x40086602
  const PROTECTED = 0x10 | 0x20
  const flags = Buffer.alloc(8)
  check(ioctlCall(fd, FS_IOC_GETFLAGS, flags), 'ioctl(FS_IOC_GETFLAGS)', `fd ${fd}`)
  const before = flags.readUInt32LE(0)
  if ((before & PROTECTED) === 0) return false
  flags.writeUInt32LE((before & ~PROTECTED) >>> 0, 0)
  check(ioctlCall(fd, FS_IOC_SETFLAGS, flags), 'ioctl(FS_IOC_SETFLAGS)', `fd ${fd}`)
  return true
}
