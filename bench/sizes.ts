/** Scales the work down for a quick look: 1 is 2 GiB and 20,000 files. */
export const SCALE = Number(process.env['BENCH_SCALE'] ?? 1)
export const LARGE_FILES = 8
export const LARGE_FILE_BYTES = Math.round(256 * 1024 * 1024 * SCALE)
/** Of a large tree, and of the one large file. */
export const LARGE_BYTES = LARGE_FILES * LARGE_FILE_BYTES
export const SMALL_FILES = Math.round(20_000 * SCALE)
/** Of a small tree. */
export const SMALL_BYTES = SMALL_FILES * 4096
