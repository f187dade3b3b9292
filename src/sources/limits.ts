/** A source's path, in characters: what web servers commonly take as an address. */
export const MAX_SOURCE_PATH_CHARACTERS = 8192

const MiB = 1024 * 1024

/** How the fetch thread goes about it; tests make some of these smaller. */
export const FETCH_LIMITS = {
  /** Connections to one host, all transfers together (each transfer always gets one). */
  connectionsPerHost: 16,
  /** Connections of the whole thread: descriptors and buffers, not speed. */
  connectionsTotal: 64,
  /** Ranges of one file under way: as many as `aria2c` opens at most. */
  connectionsPerFile: 16,
  /** Small files of one transfer under way. */
  filesPerTransfer: 16,
  /** Up to here a file is fetched by one request, in bytes; the first range asked of any file. */
  smallFileBytes: 8 * MiB,
  /** The largest range, in bytes: what one slow connection may hold back. */
  maxPieceBytes: 8 * MiB,
  /** The smallest range, in bytes: below, requests cost more than they gain. */
  minPieceBytes: 1 * MiB,
  /** How far ahead of the hashing bytes are fetched; they lie in the page cache. */
  windowBytes: 256 * MiB,
  /** Attempts in a row that bring not one byte, before a transfer fails. */
  attempts: 10,
  /** The first pause between attempts, doubled each time. */
  backoffMs: 500,
  maxBackoffMs: 30_000,
  /** The longest `Retry-After` that is honoured in full. */
  maxRetryAfterMs: 10 * 60_000,
  /** No byte for so long: the connection is given up and the range asked for again. */
  stallMs: 30_000,
  connectMs: 15_000,
  maxRedirects: 10,
  /** How often the thread reports, in milliseconds: bytes lie unhashed for so long at most. */
  reportMs: 40,
  /** Bytes of one index page. */
  maxIndexBytes: 64 * MiB,
  /** Entries of one index page: it is held in memory while it is read. */
  maxIndexEntries: 100_000,
} as const

export type FetchLimits = { readonly [K in keyof typeof FETCH_LIMITS]: number }

/** Directories of one listing: those not listed yet are held in memory. */
export const MAX_LISTED_DIRECTORIES = 100_000
/** Levels of a listing; links on the server that lead in a circle end here. */
export const MAX_LISTING_DEPTH = 64
/** Index pages of one transfer asked for at once. */
export const LISTINGS_AT_ONCE = 8
/** Large files of one transfer under way: the next one begins while the last ranges arrive. */
export const LARGE_FILES_AT_ONCE = 3
/** Small files in one message to the fetch thread, and such messages under way. */
export const BATCH_FILES = 64
export const BATCHES_AT_ONCE = 6
/** Space reserved at a time where the size is not known, in bytes. */
export const SPACE_STEP_BYTES = 256 * MiB
/** How often a parked transfer looks for space. */
export const PARKED_RETRY_MS = 5_000
/** How often a file that cannot be resumed is begun again. */
export const MAX_RESTARTS = 5
