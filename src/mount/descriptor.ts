import { closeSync, constants } from 'node:fs'
import { isErrno } from '../os/errno.ts'
import {
  type FileName,
  O_PATH,
  openat2,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from '../os/linux.ts'

/** An open descriptor that `using` closes. */
export interface Descriptor extends Disposable {
  readonly fd: number
}

export function descriptor(fd: number): Descriptor {
  return { fd, [Symbol.dispose]: () => closeSync(fd) }
}

/** Opens for naming only: no read, no side effect on devices and FIFOs; a final link is itself. */
export const NAME_ONLY = O_PATH | constants.O_NOFOLLOW
export const DIRECTORY = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW
/** For reading entries, changing owner and mode, flushing. */
export const READABLE_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
/** A device or FIFO put in a file's place meanwhile does not make the opening wait. */
export const READABLE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

const BENEATH = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS

/** Opens a path that stays below a directory, goes through no link and into no other mount. */
export function openBeneath(directoryFd: number, path: FileName, flags: number): Descriptor {
  return descriptor(openat2(directoryFd, path, { flags, resolve: BENEATH | RESOLVE_NO_XDEV }))
}

/** The same, but what is mounted there may be entered: for places that only root can fill. */
export function openMounted(directoryFd: number, path: FileName, flags: number): Descriptor {
  return descriptor(openat2(directoryFd, path, { flags, resolve: BENEATH }))
}

/** Undefined where there is nothing of that name. */
export function findBeneath(
  directoryFd: number,
  path: FileName,
  flags: number,
): Descriptor | undefined {
  return unlessErrno('ENOENT', () => openBeneath(directoryFd, path, flags))
}

/** Runs `action`; an error of exactly this errno becomes undefined. */
export function unlessErrno<T>(name: string, action: () => T): T | undefined {
  try {
    return action()
  } catch (error) {
    if (!isErrno(error, name)) throw error
    return undefined
  }
}

/** What stands at a name: nothing, a mount's root, or something of the directory's own mount. */
export function whatIsAt(directoryFd: number, name: string): 'nothing' | 'mount' | 'entry' {
  try {
    openBeneath(directoryFd, name, NAME_ONLY)[Symbol.dispose]()
    return 'entry'
  } catch (error) {
    if (isErrno(error, 'EXDEV')) return 'mount'
    if (isErrno(error, 'ENOENT')) return 'nothing'
    throw error
  }
}
