/** Every limit in one place: its unit in its name, its reason beside it. */

/** The product's limit of one checkpoint, counted on the extracted tree: 500 GB, decimal. */
export const MAX_CHECKPOINT_BYTES = 500e9
/** Files, directories and links of one checkpoint: bounds the database, not a real model. */
export const MAX_TREE_ENTRIES = 2_000_000
/** One component: what ext4, XFS and btrfs hold. */
export const MAX_PATH_PART_BYTES = 255
/** A whole relative path: leaves room for the mount point in front of it below PATH_MAX (4096). */
export const MAX_PATH_BYTES = 2048
/** A symbolic link's target. */
export const MAX_LINK_TARGET_BYTES = 2048
/** A checkpoint's or job's name. */
export const MAX_NAME_BYTES = 200
/** Checkpoints of one job: each is a mount of its own in every worker. */
export const MAX_JOB_CHECKPOINTS = 64
/** Workers of one job. */
export const MAX_JOB_WORKERS = 1024
/** One manifest line, in bytes: a path and a target, escaped, and what stands beside them. */
export const MAX_MANIFEST_LINE_BYTES = 32_768
/**
 * What an archive may expand to per byte of its own, beyond a free allowance. Weights shrink to
 * two thirds at best; deflate's own limit is 1032 to 1, reached by zeros. So zeros up to the
 * allowance are fine, and beyond it a small download cannot fill a disk.
 */
export const MAX_EXPANSION_RATIO = 200
export const FREE_EXPANSION_BYTES = 8 * 1024 ** 3
/** A zip's list of its members, in bytes: about 250 for each of as many as a tree may have. */
export const MAX_ZIP_DIRECTORY_BYTES = 512 * 1024 ** 2
